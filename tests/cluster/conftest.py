"""Photos and a classifier that workers of a cluster can open."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxplain
from onnxplain.cluster.connection import import_ray
from onnxplain.core.errors import LibraryMissing
from tests.helpers import models
from tests.study.conftest import SIZE, reddish, save


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i in range(6):
        save(tmp_path / "photos" / "yes" / f"{i}.png", reddish(i))
    return tmp_path / "photos"


@pytest.fixture
def classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> onnxplain.runtime.OnnxClassifier:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "net.onnx"
    onnx.save(models.additive(models.weights(SIZE, classes=2)), path)
    return onnxplain.load(path, range=(0, 1), class_names=("no", "yes"), batch_size=4)


@pytest.fixture(scope="session")
def ray() -> Any:
    """Ray, which warns of its own future while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_ray()
        except LibraryMissing as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def nodes(ray: Any) -> Iterator[Any]:
    """A cluster of two node processes with one core each, which the test process has joined."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
