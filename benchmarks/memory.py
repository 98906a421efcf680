"""Peak memory of RISE by number of masks; it must not grow with that number.

    python -m benchmarks.memory [--device cpu]

Each run is a separate process; the figure is the operating system's maximum resident set.
"""

from __future__ import annotations

import subprocess
import sys

import click

from benchmarks.common import PHOTO, describe_machine, device_option

RUN = """
import sys
import onnxplain
from benchmarks.common import read_peak_mib
classifier = onnxplain.load("efficientnet-lite0", device=sys.argv[3], batch_size=8)
onnxplain.explain(classifier, sys.argv[1], onnxplain.RISE(n_masks=int(sys.argv[2])))
print(read_peak_mib())
"""


def measure_peak(n_masks: int, device: str) -> float:
    """Measure the peak memory of an explanation with `n_masks` masks, in MiB."""
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(PHOTO), str(n_masks), device],
        capture_output=True,
        text=True,
        check=True,
        cwd=PHOTO.parents[1],
    )
    return float(run.stdout.split()[-1])


@click.command(help=__doc__)
@device_option
def main(device: str) -> None:
    print(describe_machine())
    few, many = measure_peak(500, device), measure_peak(8000, device)
    print(f"RISE N=500: {few:.0f} MiB; N=8000: {many:.0f} MiB; difference {many - few:+.0f} MiB")


if __name__ == "__main__":
    main()
