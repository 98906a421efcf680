"""Reports: results in one self-contained HTML file; the only place that imports Jinja."""

from __future__ import annotations

from onnxplain.report.material import Material, Omission
from onnxplain.report.page import LiveSection, build_page
from onnxplain.report.write import LIMIT, gather, write_report

__all__ = ["LIMIT", "LiveSection", "Material", "Omission", "build_page", "gather", "write_report"]
