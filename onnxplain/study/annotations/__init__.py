"""Annotations of a folder of images: names of folders, CSV, ImageNet's XML and COCO's JSON."""

from onnxplain.study.annotations.reading import UNIT, read_annotations
from onnxplain.study.annotations.wnids import read_wnids

__all__ = ["UNIT", "read_annotations", "read_wnids"]
