"""Metrics that compare heatmaps."""
