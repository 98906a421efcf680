"""Methods of the gradient by the image."""
