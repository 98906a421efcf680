"""Benchmarks of speed, memory and accuracy, with other libraries for comparison; see README.md."""
