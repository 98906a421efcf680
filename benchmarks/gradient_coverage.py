"""Correctness, accuracy and cost of the gradients of exported models.

    python -m benchmarks.gradient_coverage measure FOLDER
    python -m benchmarks.gradient_coverage compare FOLDER     (PyTorch, timm)
    python -m benchmarks.gradient_coverage table FOLDER

FOLDER holds the cases that `benchmarks.gradient_exports` made. `measure` builds each gradient and
compares it with the framework's. `compare` times some gradients in PyTorch, `torch.compile` and
onnxplain. `table` writes `benchmarks/results/gradient_coverage.md`. Cases that have a result are
skipped.

The error is ``||g - g64|| / ||g64||`` per image, and its median over the images is reported. In
networks with ReLU or max-pooling, the rounding of a value near a kink can change the float32
gradient, also that of the framework. To recognise such errors, the images are moved by less than
their rounding.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.common import open_raw
from benchmarks.gradient_exports import (
    COMPILED,
    IMAGES,
    TARGET,
    compute_torch_gradient,
    make_torch_network,
    measure_medians,
    record_failure,
)

RESULTS = Path(__file__).parent / "results" / "gradient_coverage.md"
EXACT, NUDGE = 1e-5, 1e-7
RIGHT = ("exact", "exact but for kinks", "as float32", "slopes agree")


@dataclass(frozen=True)
class DifferentiatedCase:
    """A case's model and its gradient, loaded on one thread.

    `images` are the input, `fixed` says whether the model takes exactly that number of images,
    and `seconds` is the time of building the gradient.
    """

    model: Any
    gradient: Any
    input: str
    output: str
    head: str
    images: NDArray[np.float32]
    fixed: bool
    seconds: float
    sizes: tuple[int, int]  # bytes of the model and of its gradient
    nodes: tuple[int, int]

    def forward(self) -> Any:
        """Compute the scores with the model itself."""
        half = self.model.get_inputs()[0].type == "tensor(float16)"
        images = self.images.astype(np.float16) if half else self.images
        return self.model.run([self.output], {self.input: images})

    def run(self, images: NDArray[np.float32]) -> Any:
        """Compute the target's score and gradient for each image."""
        from onnxplain.gradient import SCORE, gradient_name

        targets = np.full(len(images), TARGET if self.head == "logits" else 1)
        names = [SCORE, gradient_name(self.input)]
        return self.gradient.run(names, {self.input: images, "target": targets})


def build_case(folder: Path, device: str) -> DifferentiatedCase:
    """Differentiate the model of a case, and open both on a device."""
    from onnxplain.gradient import GradientRequest, build_gradient
    from onnxplain.runtime.measure import RuntimeMeasure

    facts, x = json.loads((folder / "case.json").read_text()), np.load(folder / "case.npz")["x"]
    path = folder / "model.onnx"
    model = onnx.load(path)
    stored = {tensor.name for tensor in model.graph.initializer}
    image = next(value.name for value in model.graph.input if value.name not in stored)
    output = model.graph.output[0].name
    last_op = {node.output[0]: node.op_type for node in model.graph.node}.get(output)
    head: Any = "probabilities" if last_op == "Softmax" else "logits"
    examples = [{image: x}] if facts.get("fixed") else [{image: x[:2]}, {image: x}]
    start = time.perf_counter()
    request = GradientRequest(image, output, head=head, kind="log-odds")
    built = build_gradient(model, request, RuntimeMeasure(), examples)
    seconds = time.perf_counter() - start
    data = built.SerializeToString()
    return DifferentiatedCase(
        model=open_raw(path, 1, device),
        gradient=open_raw(data, 1, device),
        input=image,
        output=output,
        head=head,
        images=x,
        fixed=facts.get("fixed", False),
        seconds=seconds,
        sizes=(path.stat().st_size, len(data)),
        nodes=(len(model.graph.node), len(built.graph.node)),
    )


# Measuring.


def measure(root: Path, device: str, part: int = 0, parts: int = 1) -> None:
    """Measure error and cost of every case without a result, in part `part` of `parts`."""
    for case in sorted(root.glob("*/case.json"))[part::parts]:
        folder = case.parent
        if not (folder / "result.json").exists():
            with record_failure(folder):
                (folder / "result.json").write_text(json.dumps(_measure_case(folder, device)))


def _measure_case(folder: Path, device: str) -> dict[str, Any]:
    """Measure the cost and the errors of a case's gradient."""
    case, built = np.load(folder / "case.npz"), build_case(folder, device)
    x = built.images
    forward, both = measure_medians(built.forward, lambda: built.run(x), repeats=7)
    cost = {
        "build": built.seconds,
        "forward": forward,
        "both": both,
        "size": built.sizes[1] / built.sizes[0],
        "nodes": built.nodes[1] / built.nodes[0],
    }
    has_framework = "double" in case
    return cost | (measure_errors(case, built.run, x) if has_framework else check_slopes(built))


def compare(root: Path, device: str) -> None:
    """Time forward and backward in PyTorch, in `torch.compile` and in our graph."""
    for spec in COMPILED:
        folder = root / f"{spec.partition(':')[0]} torchscript"
        if (folder / "case.json").exists() and not (folder / "compiled.json").exists():
            with record_failure(folder, seconds=600):
                (folder / "compiled.json").write_text(json.dumps(_compare_case(folder, device)))


def _compare_case(folder: Path, device: str) -> dict[str, float]:
    """Measure the seconds of a case in eager PyTorch, in `torch.compile` and in our graph."""
    import torch

    torch._dynamo.reset()
    built, facts = build_case(folder, device), json.loads((folder / "case.json").read_text())
    network, _ = make_torch_network(facts["name"])
    network.eval().requires_grad_(False)
    x, compiled_network = torch.from_numpy(built.images), torch.compile(network)
    start = time.perf_counter()
    compute_torch_gradient(compiled_network, x)
    compiling = time.perf_counter() - start
    eager, compiled, ours = measure_medians(
        functools.partial(compute_torch_gradient, network, x),
        functools.partial(compute_torch_gradient, compiled_network, x),
        lambda: built.run(built.images),
        repeats=7,
    )
    return {
        "eager": eager,
        "compiled": compiled,
        "ours": ours,
        "compiling": compiling,
        "building": built.seconds,
    }


def measure_errors(case: Any, run: Any, x: Any) -> dict[str, float]:
    """Measure the errors, and the change of the gradient when images move by less than rounding."""
    exact = case["double"]

    def measure_distances(gradient: Any, other: Any) -> Any:
        """Return the distance per image, relative to the norm of the exact gradient."""
        rows = ((gradient - other).reshape(len(x), -1), exact.reshape(len(x), -1))
        distance, norm = (np.linalg.norm(a.astype(np.float64), axis=1) for a in rows)
        return distance / norm

    ours, rng = run(x)[1], np.random.default_rng(0)
    moved = [run((x * (1 + NUDGE * rng.normal(size=x.shape))).astype("f"))[1] for _ in range(4)]
    return {
        "error": float(np.median(measure_distances(ours, exact))),
        "least": float(min(measure_distances(g, exact).min() for g in (ours, *moved))),
        "jump": float(max(measure_distances(g, ours).max() for g in moved)),
        "float32": float(np.median(measure_distances(case["single"], exact))),
    }


def check_slopes(built: DifferentiatedCase) -> dict[str, float]:
    """Compare slopes along random directions with differences of the model's scores."""
    from onnxplain.gradient import check_gradient

    def run_singly(images: Any) -> Any:
        """Run each image in a batch of copies, because the batch size is fixed."""
        parts = [built.run(np.repeat(image[None], len(built.images), 0)) for image in images]
        return tuple(np.stack([part[k][0] for part in parts]) for k in (0, 1))

    run, rng = run_singly if built.fixed else built.run, np.random.default_rng(0)
    return {"slopes": check_gradient(run, built.images[0], rng).error}


# The table.


def find_verdict(result: dict[str, Any]) -> str:
    """Return the verdict on a gradient; `_format_head` explains each."""
    if "slopes" in result:
        return "slopes agree" if result["slopes"] < 0.05 else "slopes differ"
    if result["error"] <= EXACT:
        return "exact"
    if result["error"] > 2 * max(result["jump"], result["float32"]):
        return "differs"
    return "exact but for kinks" if result["least"] <= EXACT else "as float32"


def write_table(root: Path) -> None:
    """Write all results as Markdown."""
    rows: list[Any] = []
    refused: list[Any] = []
    unexported: list[Any] = []
    for folder in sorted(root.iterdir()):
        failed, done = folder / "failed.txt", folder / "result.json"
        if done.exists():
            rows.append(_read_row(folder))
        elif failed.exists():
            failures = refused if (folder / "case.json").exists() else unexported
            failures.append(f"* {folder.name}: {failed.read_text()}")
    text = [
        "# Gradients of exported models", "",
        *_format_head(rows, len(refused)), "",
        "| model | exporter | side | error | least | framework float32 | verdict | fwd+bwd / fwd | "
        "framework's | ours / framework's | size | nodes | build s |",
        "|---|---|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|", *map(_format_row, rows), "",
        *_format_comparison(root),
    ]  # fmt: skip
    if refused:
        text += ["## Not differentiated", "", *refused, ""]
    if unexported:
        text += ["## Not exported (no model to differentiate)", "", *unexported, ""]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(text))


def _read_row(folder: Path) -> dict[str, Any]:
    """Read the facts of a case and its result into one dictionary."""
    parts = [json.loads((folder / f"{name}.json").read_text()) for name in ("case", "result")]
    return parts[0] | parts[1]


def _format_head(rows: list[dict[str, Any]], n_refused: int) -> list[str]:
    """Format the totals, the conditions of the measurement and the meaning of the verdicts."""
    import onnxruntime

    n_right = sum(find_verdict(row) in RIGHT for row in rows)
    ratios = [row["both"] / row["forward"] for row in rows]
    sizes, builds = ([row[key] for row in rows] for key in ("size", "build"))
    listed = ", ".join(row["version"] for row in rows if "version" in row)
    versions = sorted(set(listed.split(", ")))
    exporters = sorted({row["exporter"] for row in rows})
    return [
        f"{n_right} of {len(rows) + n_refused} models of {len({row['family'] for row in rows})} "
        f"families have the right gradient (exporters: {', '.join(exporters)}). Time of forward "
        f"and backward over forward: median {np.median(ratios):.2f}, 90 % below "
        f"{np.quantile(ratios, 0.9):.2f}. Size of the gradient's file over the model's: median "
        f"{np.median(sizes):.2f}, largest {max(sizes):.2f}. Building a gradient took "
        f"{np.median(builds):.1f} s in the median and {max(builds):.0f} s at most, beside other "
        "work.",
        "",
        "`python -m benchmarks.gradient_coverage measure FOLDER`, with the cases of "
        f"`benchmarks.gradient_exports`; {_find_processor()}, one thread, batch {IMAGES}; ONNX "
        f"Runtime {onnxruntime.__version__}, onnx {onnx.__version__}, {', '.join(versions)}; "
        f"{time.strftime('%Y-%m-%d')}. Times are CPU time of one thread; forward and gradient took "
        "turns, with other work on the same cores, so only the ratios are meaningful.",
        "",
        "`exact`: the relative l2 error against the framework's float64 gradient is at most 1e-5. "
        "`exact but for kinks`: a value within rounding of a kink of ReLU, or of a tie of "
        "max-pooling, changes the gradient, or rounding adds up. At some image, or at one moved by "
        "1e-7 of its values, the error is at most 1e-5 (`least`), and the median error is at most "
        "twice the change by such moves, or twice the error of the framework's own float32 "
        "gradient. `as float32`: the same, but no image has an error of at most 1e-5. "
        "`slopes agree`: there is no framework; slopes along random directions are within 5 % of "
        "differences of scores.",
    ]


def _find_processor() -> str:
    """Find the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _format_comparison(root: Path) -> list[str]:
    """Format our times and those of PyTorch; return no lines if there are no times."""
    times = {
        path.parent.name.partition(" ")[0]: json.loads(path.read_text())
        for path in sorted(root.glob("*/compiled.json"))
    }
    if not times:
        return []
    rows = [
        f"| {name} | {1e3 * row['eager']:.0f} | {1e3 * row['compiled']:.0f} | "
        f"{1e3 * row['ours']:.0f} | {row['ours'] / row['eager']:.2f} | "
        f"{row['ours'] / row['compiled']:.2f} | {row['compiling']:.0f} | {row['building']:.1f} |"
        for name, row in times.items()
    ]
    by_eager, by_compiled = (
        np.median([row["ours"] / row[key] for row in times.values()])
        for key in ("eager", "compiled")
    )
    return [
        "## Beside PyTorch", "",
        "`python -m benchmarks.gradient_coverage compare FOLDER`: forward and backward of the same "
        f"network and {IMAGES} images in one process, taking turns, in ms of CPU time of one "
        f"thread. Our time over eager PyTorch's: median {by_eager:.2f}; over `torch.compile`'s: "
        f"median {by_compiled:.2f}.", "",
        "| model | eager | compiled | ours | ours / eager | ours / compiled | compiling s | "
        "building s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|", *rows, "",
    ]  # fmt: skip


def _format_row(row: dict[str, Any]) -> str:
    """Format the table's row of a case."""

    def show(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    theirs, relative = None, None
    if row["framework"]:
        forward, both = row["framework"]
        theirs, relative = both / forward, row["both"] / both
    error = row.get("error", row.get("slopes"))
    cells = [
        row["name"], row["exporter"], str(row["side"]), show(error, ".0e"),
        show(row.get("least"), ".0e"), show(row.get("float32"), ".0e"), find_verdict(row),
        show(row["both"] / row["forward"], ".2f"), show(theirs, ".2f"),
        show(relative, ".2f"), show(row["size"], ".2f"), show(row["nodes"], ".1f"),
        show(row["build"], ".1f"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure, compare, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["measure", "compare", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("K", "PARTS"))
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    args = parser.parse_args()
    if args.command == "measure":
        measure(args.folder, args.device, *args.part)
    elif args.command == "compare":
        compare(args.folder, args.device)
    else:
        write_table(args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
