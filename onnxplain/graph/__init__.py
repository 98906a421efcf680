"""ONNX files in and out: read, check, measure and rewrite model files without a session."""
