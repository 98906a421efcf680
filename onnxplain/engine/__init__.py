"""Runs flows: the only package that forms batches."""
