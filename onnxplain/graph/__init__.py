"""ONNX in, ONNX out: reading, checking and rewriting model files. Knows no session."""
