"""Inpainters from ONNX files."""
