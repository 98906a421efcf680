"""Runs flows: the only room that forms batches."""
