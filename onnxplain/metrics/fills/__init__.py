"""Metrics of fills: what they leave of an object, and what they add to an image."""
