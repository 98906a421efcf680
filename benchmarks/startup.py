"""What the shell sees: a whole LIME explanation over raw inference, and start-up times.

python -m benchmarks.startup [--rounds 5]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile

import click

from benchmarks.common import PHOTO, Raw, machine, seconds, spread
from onnxplain.zoo import build_model

N = 1000


def shell(*command: str) -> float:
    """Seconds of one whole process."""
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Runs of each.")
def main(rounds: int) -> None:
    print(machine())
    raw = Raw(build_model("efficientnet-lite0"), (3, 224, 224))
    plan = raw.best_plan(2, 96)
    python = sys.executable
    excess, walls, raws = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        explain = (python, "-m", "onnxplain", "explain", str(PHOTO), "--method", "lime")
        shell(*explain, "--output", folder)  # the first run measures the batch size
        for _ in range(rounds):
            before = N / raw.rate(plan, N // 2)
            walls.append(shell(*explain, "--output", folder))
            raws.append((before + N / raw.rate(plan, N // 2)) / 2)
            excess.append(walls[-1] - 1.25 * raws[-1])
    print(f"explain, LIME N={N}: {spread(walls, 2)} s; raw inference: {spread(raws, 2)} s")
    print(f"explain less 1.25 x raw: {spread(excess, 2)} s (allowed: 1.5 s)")
    print(f"ratio of medians: {statistics.median(walls) / statistics.median(raws):.2f}")
    version = [shell(python, "-m", "onnxplain", "--version") for _ in range(rounds)]
    imported = [shell(python, "-c", "import onnxplain") for _ in range(rounds)]
    bare = [shell(python, "-c", "pass") for _ in range(rounds)]
    print(f"onnxplain --version: {spread(version)} s; import onnxplain: {spread(imported)} s")
    print(f"Python alone: {spread(bare)} s (contained in both)")


if __name__ == "__main__":
    main()
