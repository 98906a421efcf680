"""The live part of a report: the classifier itself runs in the page."""

from __future__ import annotations

from onnxplain.report.live.section import Live

__all__ = ["Live"]
