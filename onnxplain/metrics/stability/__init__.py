"""Metrics of how heatmaps or samples change: similarities, sweeps and sanity checks."""
