"""Families of masks: how each is rendered, and how it is sent to a device."""
