"""Composing masks with an image, on the host or on the device."""
