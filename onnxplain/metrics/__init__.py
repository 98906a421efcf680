"""Metrics of heatmaps and fills, one metric or one family per file.

A metric is a frozen dataclass that sends queries to the engine in a flow, or compares arrays.
The functions `judge`, `deletion`, `class_sensitivity` and so on run one with any classifier.
"""

import lazy_loader

# A public name is imported when it is first used. The names are listed in `__init__.pyi`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
