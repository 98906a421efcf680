"""Metrics of fills."""
