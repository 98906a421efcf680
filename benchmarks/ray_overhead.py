"""What Ray costs: questions of LIME by one process on two threads, and by two workers on one each.

    python -m benchmarks.ray_overhead net.onnx photos/ --photos 300 --rounds 3

Both use the same two cores, in turns, each time in a process of its own; the seconds are those of
`evaluate`, from reading the photos to the tables, with the start of Ray and of the workers. Memory
is that of the process that hands out the questions, after a fifth of them and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnxplain
from benchmarks.common import describe_machine, format_spread
from onnxplain.image import PHOTO_SUFFIXES, list_files

WAYS = ("alone", "ray")
ROOT = Path(__file__).resolve().parents[1]


def read_resident_mib() -> float:
    """Return the memory that this process holds now, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run(way: str, model: str, photos: Path) -> list[float]:
    """Evaluate, and return the seconds, and the memory early and late."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    held: list[tuple[float, float]] = []  # share of the questions, memory
    began = time.perf_counter()
    study = onnxplain.evaluate(
        photos,
        models=onnxplain.load(model, device="cpu", batch_size=8),
        methods="lime:n_samples=200",
        metrics="deletion:step=4000",
        only_correct=False,
        output=None,
        cluster=onnxplain.Ray(workers=2) if way == "ray" else None,
        on_progress=lambda at: held.append((at.done / at.total, read_resident_mib())),
    )
    seconds = time.perf_counter() - began
    assert not study.failures
    early = next(memory for share, memory in held if share >= 0.2)
    return [seconds, early, held[-1][1]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(run(args.way, args.model, args.folder)))
        return
    print(f"{describe_machine()}; {Path(args.model).name}\n", flush=True)
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        known = list(list_files(args.folder, PHOTO_SUFFIXES))
        for i in range(args.photos):  # again from the first if there are too few
            photo = known[i % len(known)]
            shutil.copy(photo, Path(folder, f"{i}{photo.suffix}"))
        for place in range(args.rounds):
            for way in WAYS if place % 2 == 0 else reversed(WAYS):
                command = (sys.executable, "-m", "benchmarks.ray_overhead", args.model, folder)
                done = subprocess.run(
                    [*command, "--way", way],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
                print(
                    f"{way}: {', '.join(f'{figure:.1f}' for figure in found[way][-1])}", flush=True
                )
    ratios = [r[0] / a[0] for a, r in zip(*found.values(), strict=True)]
    print(
        "\n| questions | | seconds | memory after a fifth, at the end, MiB |\n|---:|---|---:|---:|"
    )
    for way in WAYS:
        early, late = (statistics.median(one[i] for one in found[way]) for i in (1, 2))
        seconds = format_spread([one[0] for one in found[way]], 1)
        print(f"| {args.photos} | {way} | {seconds} | {early:.0f}, {late:.0f} |")
    print(f"\nRay over one process, in turns: {format_spread(ratios)}")


if __name__ == "__main__":
    main()
