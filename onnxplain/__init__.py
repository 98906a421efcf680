"""Explain exported image classifiers by removing parts of the image."""
