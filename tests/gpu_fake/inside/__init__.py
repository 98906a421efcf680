"""Tests that run in a process where the fake device is found; see `tests.gpu_fake`."""
