"""Export EfficientNet-Lite0 from PyTorch by both of its exporters.

    pip install torch onnxscript efficientnet-lite-pytorch
    python model_zoo/export_torch.py FOLDER

The zoo writes the same network without PyTorch (`onnxplain zoo build efficientnet-lite0`);
this script also checks that the zoo's file agrees with PyTorch.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from exporting import make_output_folder, read_photos, require_equal, write_spec
from numpy.typing import NDArray

from onnxplain.zoo import build_model
from onnxplain.zoo.catalogue import Recipe, find_zoo_model
from onnxplain.zoo.fetch import fetch_weights

NAME = "efficientnet-lite0"


def load_trained_network(recipe: Recipe) -> torch.nn.Module:
    """Load the network with its weights, ready for inference."""
    network = EfficientNet.from_name(NAME)
    state = torch.load(io.BytesIO(fetch_weights(recipe.source)), weights_only=True)
    network.load_state_dict(state)
    return network.eval()


def export_by_torchscript(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Export by the older exporter, which traces the network; opset 17."""
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


def export_by_dynamo(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Export by the newer exporter, which uses torch.export and chooses the opset."""
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
    """Export by both, compare the files and the zoo's with PyTorch, and write the specs."""
    folder = make_output_folder(__doc__)
    recipe = find_zoo_model(NAME).recipe
    assert recipe is not None
    network = load_trained_network(recipe)
    inputs = ((read_photos(224) - np.float32(127)) / np.float32(128)).transpose(0, 3, 1, 2)

    def compute_scores(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return network(torch.from_numpy(x)).numpy()

    require_equal(build_model(NAME), compute_scores, inputs, tolerance=1e-4)
    exporters = {"torchscript": export_by_torchscript, "dynamo": export_by_dynamo}
    for name, export in exporters.items():
        path = folder / f"{NAME}-{name}.onnx"
        # Two images: the exporter would take a batch size of one for a constant.
        export(network, torch.from_numpy(inputs[:2]), path)
        require_equal(path, compute_scores, inputs, tolerance=1e-4)
        write_spec(
            path,
            layout="nchw",
            colour="rgb",
            range=[0, 255],
            mean=127,
            std=128,
            fit=recipe.spec.fit,
            resize=recipe.spec.resize,
            interpolation=recipe.spec.interpolation,
            head="logits",
            class_names=list(recipe.spec.class_names),
        )


if __name__ == "__main__":
    main()
