"""Draw the losses of a training log over the steps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

PANELS = {
    "hole L1": ("l1", "held_out_l1"),
    "perceptual distance": ("perceptual", "held_out_perceptual"),
}
"""For each panel's title, the log's names of the training value and the held-out value."""


def read_log(path: Path) -> list[dict[str, float]]:
    """Read the JSON lines that have a step."""
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [row for row in rows if "step" in row]


def draw_curves(rows: list[dict[str, float]], path: Path) -> None:
    """Draw one panel per loss, with training as a line and held-out as dots."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(9, 3), layout="constrained")
    for axis, (title, names) in zip(axes, PANELS.items(), strict=True):
        for name, style in zip(names, ("-", "o"), strict=True):
            points = [(row["step"], row[name]) for row in rows if name in row]
            # The first values would hide the rest of the curve.
            steps, values = zip(
                *[(step, value) for step, value in points if step > 100], strict=True
            )
            axis.plot(
                steps,
                values,
                style,
                label="training" if style == "-" else "held out",
                linewidth=0.8,
                markersize=4,
            )
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=90)


def main() -> None:
    """Read the log and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="log.jsonl of a training run")
    parser.add_argument("png", type=Path, help="picture to write")
    args = parser.parse_args()
    draw_curves(read_log(args.log), args.png)


if __name__ == "__main__":
    main()
