"""Where an inpainter's time goes, by operator.

    python -m benchmarks.inpainter_operators [--inpainter model.onnx] [--size 224]

ONNX Runtime's profile with one thread, beside the arithmetic of a matrix product in NumPy: what
the convolutions lack to that is all that a better kernel could gain. Other work on the machine
slows down whole rounds, so the shortest time of each node counts, and of the product.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import describe_machine, device_option, open_raw
from onnxplain.loading import find_model

SIDE = 512  # of the square matrices that are multiplied


@click.command(help=__doc__)
@click.option("--inpainter", default="inpainter", show_default=True)
@click.option("--size", default=224, show_default=True, help="Side of the image in pixels.")
@click.option("--rounds", default=60, show_default=True)
@device_option
def main(inpainter: str, size: int, rounds: int, device: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        events, products = profile(find_model(inpainter), size, rounds, device, Path(folder))
    by_operator: dict[str, float] = defaultdict(float)
    for of_a_node in zip(*events, strict=True):
        shortest = min(event["dur"] for event in of_a_node) / 1000
        by_operator[of_a_node[0]["args"]["op_name"]] += shortest
    total = sum(by_operator.values())
    n_products = sum(count_products(event) for event in events[0])
    rate = 2 * n_products / by_operator["Conv"] / 1e6
    print(f"{describe_machine()}; {size} px, one thread, {rounds} rounds\n")
    print(
        f"Convolutions: {n_products / 1e9:.2f} billion products per image, {rate:.0f} GFLOP/s; "
        f"a matrix product in NumPy: {2 * SIDE**3 / min(products) / 1e9:.0f}\n"
    )
    print("| operator | ms | share |\n|---|--:|--:|")
    for name, milliseconds in sorted(by_operator.items(), key=lambda item: -item[1]):
        if milliseconds >= total / 100:
            print(f"| {name} | {milliseconds:.1f} | {milliseconds / total:.0%} |")
    print(f"| all | {total:.1f} | 100% |")


def profile(
    path: Path | bytes, size: int, rounds: int, device: str, folder: Path
) -> tuple[list[list[dict[str, Any]]], list[float]]:
    """Profile runs of an inpainter; return the events of each, and times of a matrix product."""
    session = open_raw(path, 1, device, profile=folder / "profile")
    rng = np.random.default_rng(0)
    matrix = rng.random((SIDE, SIDE), np.float32)
    feeds = {
        model_input.name: rng.random((1, model_input.shape[1], size, size), np.float32)
        for model_input in session.get_inputs()
    }
    feeds |= {name: np.round(value) for name, value in feeds.items() if value.shape[1] == 1}
    products = []
    for _ in range(rounds):
        session.run(None, feeds)
        began = time.perf_counter()
        np.matmul(matrix, matrix)
        products.append(time.perf_counter() - began)
    events = [
        event
        for event in json.loads(Path(session.end_profiling()).read_text())
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time")
    ]
    per_run = len(events) // rounds
    return [events[i * per_run : (i + 1) * per_run] for i in range(1, rounds)], products[1:]


def count_products(event: dict[str, Any]) -> int:
    """Count the products of a convolution's event; 0 for other operators."""
    if event["args"]["op_name"] != "Conv":
        return 0
    (output,) = event["args"]["output_type_shape"][0].values()
    weights = next(iter(event["args"]["input_type_shape"][1].values()))
    return int(np.prod(output) * np.prod(weights[1:]))


if __name__ == "__main__":
    main()
