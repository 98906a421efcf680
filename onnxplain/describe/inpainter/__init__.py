"""Inpainters described by data: what a graph wants, where that is said, what it shows."""
