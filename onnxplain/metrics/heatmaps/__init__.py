"""Metrics of one heatmap: curves, regions, boxes and crops."""
