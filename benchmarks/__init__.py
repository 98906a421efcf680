"""Speed, memory and accuracy beside raw ONNX Runtime and other libraries; see README.md."""
