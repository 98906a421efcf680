"""EfficientNet-Lite0 from PyTorch, by both of its exporters.

    pip install torch onnxscript efficientnet-lite-pytorch
    python model_zoo/export_torch.py FOLDER

The zoo writes the same network without PyTorch (`onnxplain zoo build efficientnet-lite0`);
this script also shows that the two agree.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from exporting import output_folder, photos, require_equal, write_spec
from numpy.typing import NDArray

from onnxplain.zoo import build_model
from onnxplain.zoo.catalogue import Recipe, find_zoo_model
from onnxplain.zoo.fetch import fetch_weights

NAME = "efficientnet-lite0"


def trained_network(recipe: Recipe) -> torch.nn.Module:
    """The network with its weights, ready for inference."""
    network = EfficientNet.from_name(NAME)
    state = torch.load(io.BytesIO(fetch_weights(recipe.source)), weights_only=True)
    network.load_state_dict(state)
    return network.eval()


def by_torchscript(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """The older exporter: traces the network; opset 17."""
    torch.onnx.export(
        network,
        (example,),
        path,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )


def by_dynamo(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """The newer exporter: by torch.export; its own choice of opset."""
    torch.onnx.export(
        network,
        (example,),
        path,
        dynamo=True,
        external_data=False,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
    )


def main() -> None:
    """Export by both, compare both and the zoo's file with PyTorch, write the specs."""
    folder = output_folder(__doc__)
    recipe = find_zoo_model(NAME).recipe
    assert recipe is not None
    network = trained_network(recipe)
    inputs = ((photos(224) - 127) / 128).transpose(0, 3, 1, 2)

    def scores(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return network(torch.from_numpy(x)).numpy()

    require_equal(build_model(NAME), scores, inputs, tolerance=1e-4)
    for exporter in (by_torchscript, by_dynamo):
        path = folder / f"{NAME}-{exporter.__name__.removeprefix('by_')}.onnx"
        # Two images: a batch of one would be taken for a constant.
        exporter(network, torch.from_numpy(inputs[:2]), path)
        require_equal(path, scores, inputs, tolerance=1e-4)
        write_spec(
            path,
            layout="nchw",
            colour="rgb",
            range=[0, 255],
            mean=127,
            std=128,
            fit="crop",
            crop=1.0,
            interpolation="bilinear",
            head="logits",
            class_names=list(recipe.spec.class_names),
        )


if __name__ == "__main__":
    main()
