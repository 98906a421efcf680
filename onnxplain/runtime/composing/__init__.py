"""Composing masks with an image and its fill, on the host or on the device."""
