"""Reports: results in one self-contained HTML file; the only place that imports Jinja."""

from __future__ import annotations

from onnxplain.report.material import Failure, Material
from onnxplain.report.page import LiveSection, build_page
from onnxplain.report.write import LIMIT, gather, write_report

__all__ = ["LIMIT", "Failure", "LiveSection", "Material", "build_page", "gather", "write_report"]
