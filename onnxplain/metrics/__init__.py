"""Metrics of heatmaps and fills, one metric or one family per file.

A metric is a frozen dataclass whose flow asks the engine, or which compares arrays. The
functions `judge`, `deletion`, `class_sensitivity` and so on judge with any classifier at once.
"""

import lazy_loader

# A public name is imported when it is first used. The names are listed in `__init__.pyi`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
