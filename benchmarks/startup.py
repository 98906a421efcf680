"""Time of whole commands: a LIME explanation compared with raw inference, and start-up.

python -m benchmarks.startup [--rounds 5] [--device cpu]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile

import click

from benchmarks.common import (
    PHOTO,
    RawRunner,
    describe_machine,
    device_option,
    format_spread,
    measure_seconds,
)
from onnxplain.zoo import build_model

N = 1000


def time_command(*command: str) -> float:
    """Return the seconds of running a command in a new process."""
    return measure_seconds(lambda: subprocess.run(command, check=True, capture_output=True))


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Runs of each command.")
@device_option
def main(rounds: int, device: str) -> None:
    print(describe_machine())
    raw = RawRunner(build_model("efficientnet-lite0"), (3, 224, 224), device)
    plan = raw.find_best_plan(2, 64)
    python = sys.executable
    excesses, walls, raw_walls = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        explain = [python, "-m", "onnxplain", "explain", str(PHOTO), "--method", "lime"]
        explain += ["--device", device]
        time_command(*explain, "--output", folder)  # the first run measures the batch size
        for _ in range(rounds):
            before = N / raw.measure_rate(plan, N // 2)
            walls.append(time_command(*explain, "--output", folder))
            raw_walls.append((before + N / raw.measure_rate(plan, N // 2)) / 2)
            excesses.append(walls[-1] - 1.25 * raw_walls[-1])
    print(
        f"explain, LIME N={N}: {format_spread(walls, 2)} s; "
        f"raw inference: {format_spread(raw_walls, 2)} s"
    )
    print(f"explain minus 1.25 x raw: {format_spread(excesses, 2)} s (allowed: 1.5 s)")
    print(f"ratio of medians: {statistics.median(walls) / statistics.median(raw_walls):.2f}")
    versions = [time_command(python, "-m", "onnxplain", "--version") for _ in range(rounds)]
    imports = [time_command(python, "-c", "import onnxplain") for _ in range(rounds)]
    bare = [time_command(python, "-c", "pass") for _ in range(rounds)]
    print(
        f"onnxplain --version: {format_spread(versions)} s; "
        f"import onnxplain: {format_spread(imports)} s"
    )
    print(f"Python alone: {format_spread(bare)} s (contained in both)")


if __name__ == "__main__":
    main()
