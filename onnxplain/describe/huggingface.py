"""Hugging Face's ``preprocessor_config.json``, read as its image processors apply it.

Processors that also hold a tokenizer are saved as ``processor_config.json``, which holds the
settings of the image processor under its name.

The file holds settings of a class; one that is missing or null has the class's own value.
Whatever a spec cannot say is refused by name, and so is a class, or a setting, that is not
known here. A setting that the class is known to pass over is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnxplain.core.data import Interpolation, Size
from onnxplain.describe.fields import Part, SpecSource
from onnxplain.describe.image_processors import (
    IMAGE_PROCESSORS,
    PROCESSORS_OF_MODELS,
    REFUSED_PROCESSORS,
    UNNAMED,
    ImageProcessor,
    RefusedError,
    Settings,
)

# Transformers 5 looks into the first for an ``image_processor``, and else into the second.
NAMES = ("processor_config.json", "preprocessor_config.json")

# PIL's numbers of its filters.
FILTERS: Mapping[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "area",
    5: "hamming",
}

# Settings that change no pixel of a photo in RGB.
HARMLESS = {
    *("image_processor_type", "feature_extractor_type", "processor_class", "auto_map"),
    *("_valid_processor_keys", "data_format", "input_data_format", "device", "return_tensors"),
    *("disable_grouping", "do_convert_rgb", "do_reduce_labels", "reduce_labels", "use_fast"),
    *("default_to_square", "image_seq_length", "model_input_names", "transformers_version"),
    "_processor_class",
}
# Settings of single classes, which the other classes pass over.
OF_SINGLE_CLASSES = {
    *("crop_pct", "include_top", "rescale_offset", "do_flip_channel_order", "size_divisor"),
    *("patch_size", "max_num_patches", "do_thumbnail", "do_align_long_axis", "resize_short"),
    "do_resize_and_center_crop",
}
_UNSAID = "has different values in different versions where a file leaves out"


def read_preprocessor(
    config: Mapping[str, Any], model_type: object = None, where: str = NAMES[-1]
) -> SpecSource:
    """Return the fields of a spec in the file, and what it asks for that a spec cannot say.

    Parameters
    ----------
    config : mapping
        The file's content.
    model_type : str, optional
        That of the ``config.json`` beside it, which tells the class if the file does not.
    where : str, optional
        The file's name.
    """
    config = config.get("image_processor", config)  # as transformers 5 nests it
    name = _find_class(config, model_type)
    if name == "TimmWrapperImageProcessor":  # all is in timm's config.json
        return SpecSource(where, {})
    processor = IMAGE_PROCESSORS.get(name) if name else UNNAMED
    if processor is None:
        reason = REFUSED_PROCESSORS.get(str(name), "is no image processor that onnxplain knows")
        return SpecSource(where, {}, dict.fromkeys(_READERS, f"{name} {reason}"))
    subject = name or "it names no image_processor_type, and"
    known = HARMLESS | set(processor.settings) | (OF_SINGLE_CLASSES if name else set())
    said = {key: value for key, value in config.items() if value is not None}
    if unknown := [key for key, value in said.items() if key not in known and value is not False]:
        reason = f"{subject} has settings that onnxplain does not know: {', '.join(unknown)}"
        return SpecSource(where, {}, dict.fromkeys(_READERS, reason))
    settings = {
        key: own if key in processor.ignores else said.get(key, own)
        for key, own in processor.settings.items()
    }
    settings["default_to_square"] = said.get("default_to_square", processor.square)
    values, refusals = _read_parts(processor, settings, subject)
    if name or settings["do_flip_channel_order"]:
        values["colour"] = "bgr" if settings.get("do_flip_channel_order") else "rgb"
    return SpecSource(where, values, refusals)


def _read_parts(
    processor: ImageProcessor, settings: Settings, subject: str
) -> tuple[dict[str, Any], dict[Part, str]]:
    """Return the fields of the parts that a spec can say, and why it cannot say the others."""
    values = dict[str, Any]()
    refusals = {part: f"{subject} {reason}" for part, reason in processor.refuses.items()}
    for part, read in _READERS.items():
        if part not in refusals:
            try:
                values |= read(processor, settings)
            except RefusedError as refused:
                refusals[part] = f"{subject} {refused}"
    return values, refusals


def _find_class(config: Mapping[str, Any], model_type: object) -> str | None:
    """Return the name of the class, without the endings of its several forms."""
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    if name is None:
        return PROCESSORS_OF_MODELS.get(str(model_type))
    plain = str(name).replace("FeatureExtractor", "ImageProcessor")
    return plain.removesuffix("Fast").removesuffix("Pil")


def _read_normalisation(processor: ImageProcessor, settings: Settings) -> dict[str, Any]:
    scaled, normalised = settings["do_rescale"], settings["do_normalize"]
    if normalised is None:  # neither the file nor a class says it
        normalised = settings["image_mean"] is not None
        if not normalised and scaled is None:
            return {}
    mean, std = (settings["image_mean"], settings["image_std"]) if normalised else (0.0, 1.0)
    if mean is None or std is None:
        raise RefusedError("normalises, but says no image_mean or image_std")
    if settings.get("include_top"):  # EfficientNet divides once more
        once, again = _list_numbers(std), _list_numbers(settings["image_std"])
        once = once * len(again) if len(once) == 1 else once
        std = [a * b for a, b in zip(once, again, strict=True)]
    if scaled is False:
        return {"range": (0.0, 255.0), "mean": mean, "std": std}
    high = round(255 * float(settings["rescale_factor"]), 9)  # 255 / 255 is 1
    low = -1.0 if settings.get("rescale_offset") else 0.0
    return {"range": (low, high + low), "mean": mean, "std": std}


def _list_numbers(value: Any) -> list[float]:
    return [float(number) for number in value] if isinstance(value, Sequence) else [float(value)]


def _read_interpolation(processor: ImageProcessor, settings: Settings) -> dict[str, Any]:
    number = settings["resample"]
    if number is None:
        if processor is UNNAMED or not settings["do_resize"]:
            return {}
        raise RefusedError(f"{_UNSAID} resample")
    if number not in FILTERS:
        raise RefusedError(f"resamples by {number!r}, which is none of PIL's filters")
    return {"interpolation": FILTERS[number]}


def _read_geometry(processor: ImageProcessor, settings: Settings) -> dict[str, Any]:
    if settings["do_pad"] and settings["pad_size"]:
        raise RefusedError("pads photos at the right and below (do_pad)")
    if processor is not UNNAMED:
        for key in ("size", "do_center_crop"):
            if settings[key] is None:
                raise RefusedError(f"{_UNSAID} {key}")
    steps = dict[str, Any]()
    if settings["do_resize"] and settings["size"] is not None:
        size = _read_size(settings["size"], settings["default_to_square"])
        steps = processor.resize(settings, size)
    if settings["do_center_crop"] and settings["crop_size"] is not None:
        crop = _read_sides(settings["crop_size"])
        if steps.get("size", crop) != crop:
            raise RefusedError(f"crops twice, to {steps['size']} and to {crop}")
        # Where half a pixel would be the middle, the lower one is taken.
        return {"fit": "keep", **steps, "size": crop, "centre": "floor"}
    if "size" in steps or not steps:
        return steps
    if steps["fit"] != "stretch":
        raise RefusedError("keeps the photo's shape and does not crop, so that sizes vary")
    return {"fit": "stretch", "size": steps["resize"]}


def _read_size(size: Any, square: bool | None) -> Mapping[str, int]:
    """Return a `size` by ``height`` and ``width``, or by ``shortest_edge``."""
    if isinstance(size, Mapping):
        return {key: int(value) for key, value in size.items() if value is not None}
    if isinstance(size, Sequence):
        rows, columns = size
        return {"height": int(rows), "width": int(columns)}
    if square is None:
        raise RefusedError(f"does not say whether size {size} is that of the shortest edge")
    return {"height": int(size), "width": int(size)} if square else {"shortest_edge": int(size)}


def _read_sides(size: Any) -> Size:
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    rows, columns = size if isinstance(size, Sequence) else (size, size)
    return int(rows), int(columns)


_READERS: Mapping[Part, Callable[[ImageProcessor, Settings], dict[str, Any]]] = {
    "geometry": _read_geometry,
    "interpolation": _read_interpolation,
    "normalisation": _read_normalisation,
}
