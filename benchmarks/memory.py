"""Peak memory of RISE by number of masks; it must not grow with that number.

    python -m benchmarks.memory

Each run is a separate process; the figure is the operating system's maximum resident set.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.common import PHOTO, describe_machine

RUN = """
import resource, sys
import onnxplain
classifier = onnxplain.load("efficientnet-lite0", device="cpu", batch_size=8)
onnxplain.explain(classifier, sys.argv[1], onnxplain.RISE(n_masks=int(sys.argv[2])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure_peak(n_masks: int) -> float:
    """Measure the peak memory of an explanation with `n_masks` masks, in MiB."""
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(PHOTO), str(n_masks)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout.split()[-1])


def main() -> None:
    """Measure and print the peak memory for few and for many masks."""
    print(describe_machine())
    few, many = measure_peak(500), measure_peak(8000)
    print(f"RISE N=500: {few:.0f} MiB; N=8000: {many:.0f} MiB; difference {many - few:+.0f} MiB")


if __name__ == "__main__":
    main()
