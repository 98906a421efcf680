"""Throughput against raw ONNX Runtime and against peers; see README.md."""
