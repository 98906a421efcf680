"""Metrics of one heatmap."""
