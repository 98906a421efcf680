"""The only place that imports ONNX Runtime: sessions, classifiers, inpainters."""
