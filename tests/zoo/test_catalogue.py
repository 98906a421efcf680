"""The catalogue names every model, and holds all that is needed to build and feed it."""

from __future__ import annotations

import csv

import pytest

from onnxplain.core.errors import ZooError
from onnxplain.zoo.catalogue import Recipe, find_zoo_model, list_models
from tests.conftest import shared


def test_default_classifier_comes_first() -> None:
    models = list_models()
    assert models[0].name == "efficientnet-lite0"
    assert {model.kind for model in models} == {"classifier", "inpainter"}
    assert all(model.summary and model.licence for model in models)


def test_error_on_an_unknown_name_suggests_one() -> None:
    with pytest.raises(ZooError, match=r"'efficientnet-lite' is unknown; did you mean 'eff"):
        find_zoo_model("efficientnet-lite")


def test_models_are_found_by_their_names() -> None:
    assert [find_zoo_model(model.name) for model in list_models()] == list(list_models())


def test_model_is_either_built_or_shipped() -> None:
    for model in list_models():
        assert (model.recipe is None) != (model.shipped is None)


def test_recipe_feeds_the_network_at_its_size_with_known_classes(recipe: Recipe) -> None:
    assert recipe.spec.size == (recipe.variant.size,) * 2
    assert set(recipe.known) <= set(recipe.spec.class_names)
    assert len(recipe.source.sha256) == 64


def test_class_names_are_all_different(recipe: Recipe) -> None:
    names = [name.lower() for name in recipe.spec.class_names]
    assert len(set(names)) == len(names) == 1000


def test_class_names_are_those_of_the_labels(recipe: Recipe) -> None:
    """Each lists the names of its class, but for those whose first name is another class's too."""
    with shared("data/eval/imagenet_classes.csv").open(newline="") as file:
        labels = [row["names"] for row in csv.DictReader(file)]
    others = {
        index: (name, names)
        for index, (name, names) in enumerate(zip(recipe.spec.class_names, labels, strict=True))
        if name != names
    }
    assert others == {
        134: ("crane (bird)", "crane"),
        264: ("Cardigan Welsh corgi, Cardigan", "Cardigan, Cardigan Welsh corgi"),
        517: ("crane (machine)", "crane"),
        639: ("tank suit, maillot", "maillot, tank suit"),
    }
