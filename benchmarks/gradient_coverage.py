"""Which models can be differentiated, how exactly, and at what cost.

    python -m benchmarks.gradient_coverage measure FOLDER
    python -m benchmarks.gradient_coverage compare FOLDER     (PyTorch, timm)
    python -m benchmarks.gradient_coverage table FOLDER

on the cases that `benchmarks.gradient_exports` made. `measure` builds each gradient and compares
it with the framework's, `compare` times some beside PyTorch and `torch.compile`, `table` writes
`benchmarks/results/gradient_coverage.md`. What is measured is not measured again.

The error is ``||g - g64|| / ||g64||`` of each image, the median over the images. In networks
with ReLU or max-pooling a value within rounding of a kink sends the gradient another way in
float32, in the framework too: such errors are told apart by moving the images by less than
they are rounded.
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

from benchmarks.gradient_exports import (
    COMPILED,
    IMAGES,
    TARGET,
    attempt,
    median_seconds,
    torch_gradient,
    torch_network,
)

RESULTS = Path(__file__).parent / "results" / "gradient_coverage.md"
EXACT, NUDGE = 1e-5, 1e-7
RIGHT = ("exact", "exact but for kinks", "as float32", "slopes agree")


@dataclass(frozen=True)
class Built:
    """A case's model and its gradient, loaded on one thread.

    `images` is its input, `fixed` whether it takes that many only, `seconds` what building took.
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
        """The scores, by the model itself."""
        half = self.model.get_inputs()[0].type == "tensor(float16)"
        given = self.images.astype(np.float16) if half else self.images
        return self.model.run([self.output], {self.input: given})

    def run(self, images: NDArray[np.float32]) -> Any:
        """Score of the target and its gradient, of each image."""
        from onnxplain.gradient import SCORE, gradient_name

        targets = np.full(len(images), TARGET if self.head == "logits" else 1)
        names = [SCORE, gradient_name(self.input)]
        return self.gradient.run(names, {self.input: images, "target": targets})


def build(folder: Path) -> Built:
    """Differentiate the model of a case."""
    import onnxruntime

    from onnxplain.gradient import GradientRequest, build_gradient
    from onnxplain.runtime.measure import RuntimeMeasure

    facts, x = json.loads((folder / "case.json").read_text()), np.load(folder / "case.npz")["x"]
    path = folder / "model.onnx"
    model = onnx.load(path)
    stored = {one.name for one in model.graph.initializer}
    image = next(one.name for one in model.graph.input if one.name not in stored)
    output = model.graph.output[0].name
    ends = {node.output[0]: node.op_type for node in model.graph.node}.get(output)
    head = "probabilities" if ends == "Softmax" else "logits"
    examples = [{image: x}] if facts.get("fixed") else [{image: x[:2]}, {image: x}]
    start = time.perf_counter()
    request = GradientRequest(image, output, head=head, kind="log-odds")
    built = build_gradient(model, request, RuntimeMeasure(), examples)
    seconds = time.perf_counter() - start
    data = built.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    load = functools.partial(
        onnxruntime.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"]
    )
    return Built(
        model=load(str(path)),
        gradient=load(data),
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


def measure(root: Path, part: int = 0, parts: int = 1) -> None:
    """Error and cost of every case that has no result yet, or of some part of them."""
    for case in sorted(root.glob("*/case.json"))[part::parts]:
        folder = case.parent
        if not (folder / "result.json").exists():
            with attempt(folder):
                (folder / "result.json").write_text(json.dumps(_measure(folder)))


def _measure(folder: Path) -> dict[str, Any]:
    case, built = np.load(folder / "case.npz"), build(folder)
    x = built.images
    forward, both = median_seconds(built.forward, lambda: built.run(x), repeats=7)
    cost = {
        "build": built.seconds,
        "forward": forward,
        "both": both,
        "size": built.sizes[1] / built.sizes[0],
        "nodes": built.nodes[1] / built.nodes[0],
    }
    return cost | (_against(case, built.run, x) if "double" in case else _slopes(built))


def compare(root: Path) -> None:
    """Forward and backward by PyTorch, by what `torch.compile` makes of it, and by ours."""
    for spec in COMPILED:
        folder = root / f"{spec.partition(':')[0]} torchscript"
        if (folder / "case.json").exists() and not (folder / "compiled.json").exists():
            with attempt(folder, seconds=600):
                (folder / "compiled.json").write_text(json.dumps(_compare(folder)))


def _compare(folder: Path) -> dict[str, float]:
    import torch

    torch._dynamo.reset()
    built, facts = build(folder), json.loads((folder / "case.json").read_text())
    network, _ = torch_network(facts["name"])
    network.eval().requires_grad_(False)
    x, fast = torch.from_numpy(built.images), torch.compile(network)
    start = time.perf_counter()
    torch_gradient(fast, x)
    compiling = time.perf_counter() - start
    calls = [functools.partial(torch_gradient, one, x) for one in (network, fast)]
    eager, compiled, ours = median_seconds(*calls, lambda: built.run(built.images), repeats=7)
    return {
        "eager": eager,
        "compiled": compiled,
        "ours": ours,
        "compiling": compiling,
        "building": built.seconds,
    }


def _against(case: Any, run: Any, x: Any) -> dict[str, float]:
    """Errors, and how far the gradient jumps when the images move by less than rounding."""

    def distance(one: Any, other: Any) -> Any:
        """Of each image, relative to the framework's gradient."""
        rows = ((one - other).reshape(len(x), -1), case["double"].reshape(len(x), -1))
        off, size = (np.linalg.norm(a.astype(np.float64), axis=1) for a in rows)
        return off / size

    ours, rng = run(x)[1], np.random.default_rng(0)
    moved = [run((x * (1 + NUDGE * rng.normal(size=x.shape))).astype("f"))[1] for _ in range(4)]
    return {
        "error": float(np.median(distance(ours, case["double"]))),
        "least": float(min(distance(one, case["double"]).min() for one in (ours, *moved))),
        "jump": float(max(distance(one, ours).max() for one in moved)),
        "float32": float(np.median(distance(case["single"], case["double"]))),
    }


def _slopes(built: Built) -> dict[str, float]:
    from onnxplain.gradient import check_gradient

    def one_by_one(images: Any) -> Any:
        parts = [built.run(np.repeat(image[None], len(built.images), 0)) for image in images]
        return tuple(np.stack([part[k][0] for part in parts]) for k in (0, 1))

    run, rng = one_by_one if built.fixed else built.run, np.random.default_rng(0)
    return {"slopes": check_gradient(run, built.images[0], rng).error}


# The table.


def verdict(result: dict[str, Any]) -> str:
    if "slopes" in result:
        return "slopes agree" if result["slopes"] < 0.05 else "slopes differ"
    if result["error"] <= EXACT:
        return "exact"
    if result["error"] > 2 * max(result["jump"], result["float32"]):
        return "differs"
    return "exact but for kinks" if result["least"] <= EXACT else "as float32"


def write_table(root: Path) -> None:
    """All that was measured, as Markdown."""
    rows, refused, unexported = [], [], []
    for folder in sorted(root.iterdir()):
        failed, done = folder / "failed.txt", folder / "result.json"
        if done.exists():
            rows.append(_both(folder))
        elif failed.exists():
            listed = refused if (folder / "case.json").exists() else unexported
            listed.append(f"* {folder.name}: {failed.read_text()}")
    text = [
        "# Gradients of exported models", "",
        *_summary(rows, len(refused)), "",
        "| model | exporter | side | error | least | framework float32 | verdict | fwd+bwd / fwd | "
        "framework's | ours / framework's | size | nodes | build s |",
        "|---|---|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|", *map(_row, rows), "",
        *_beside_compile(root),
    ]  # fmt: skip
    if refused:
        text += ["## Not differentiated", "", *refused, ""]
    if unexported:
        text += ["## Not exported (no model to differentiate)", "", *unexported, ""]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(text))


def _both(folder: Path) -> dict[str, Any]:
    """What is known of a case and what was measured, in one."""
    parts = [json.loads((folder / f"{name}.json").read_text()) for name in ("case", "result")]
    return parts[0] | parts[1]


def _summary(rows: list[dict[str, Any]], refused: int) -> list[str]:
    import onnxruntime

    good = sum(verdict(row) in RIGHT for row in rows)
    ratios = [row["both"] / row["forward"] for row in rows]
    sizes, builds = ([row[key] for row in rows] for key in ("size", "build"))
    told = ", ".join(row["version"] for row in rows if "version" in row)
    versions = sorted(set(told.split(", ")))
    exporters = sorted({row["exporter"] for row in rows})
    return [
        f"{good} of {len(rows) + refused} models of {len({row['family'] for row in rows})} "
        f"families are right (exporters: {', '.join(exporters)}). Time of forward and backward "
        f"over forward: median {np.median(ratios):.2f}, 90 % below {np.quantile(ratios, 0.9):.2f}. "
        f"File size over the model's: median {np.median(sizes):.2f}, largest {max(sizes):.2f}. "
        f"Building took {np.median(builds):.1f} s in the median, {max(builds):.0f} s at most, "
        "beside other work.",
        "",
        "`python -m benchmarks.gradient_coverage measure FOLDER`, the cases by "
        f"`benchmarks.gradient_exports`; {_processor()}, one thread, batch {IMAGES}; ONNX Runtime "
        f"{onnxruntime.__version__}, onnx {onnx.__version__}, {', '.join(versions)}; "
        f"{time.strftime('%Y-%m-%d')}. Times are CPU time of one thread, forward and gradient in "
        "turn, with other work on the same cores: read the ratios.",
        "",
        "`exact`: relative l2 error against the framework's float64 gradient at most 1e-5. "
        "`exact but for kinks`: a value within rounding of a kink of ReLU or a tie of max-pooling "
        "sends the gradient another way, or rounding adds up; at an image, or one moved by 1e-7 "
        "of its values, the error is at most 1e-5 (`least`), and the median error at most twice "
        "what such moves change, or the framework's own float32 gradient errs. `as float32`: the "
        "same, but at every image. `slopes agree`: no framework; slopes along random directions "
        "within 5 % of differences of scores.",
    ]


def _processor() -> str:
    """As the system names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _beside_compile(root: Path) -> list[str]:
    """Ours beside PyTorch's, eager and compiled; nothing where it was not measured."""
    found = {
        path.parent.name.partition(" ")[0]: json.loads(path.read_text())
        for path in sorted(root.glob("*/compiled.json"))
    }
    if not found:
        return []
    rows = [
        f"| {name} | {1e3 * one['eager']:.0f} | {1e3 * one['compiled']:.0f} | "
        f"{1e3 * one['ours']:.0f} | {one['ours'] / one['eager']:.2f} | "
        f"{one['ours'] / one['compiled']:.2f} | {one['compiling']:.0f} | {one['building']:.1f} |"
        for name, one in found.items()
    ]
    by_eager, by_compiled = (
        np.median([one["ours"] / one[key] for one in found.values()])
        for key in ("eager", "compiled")
    )
    return [
        "## Beside PyTorch", "",
        "`python -m benchmarks.gradient_coverage compare FOLDER`: forward and backward of the same "
        f"network and {IMAGES} images in one process, in turn, ms of CPU time of one thread. "
        f"Median of ours over eager {by_eager:.2f}, over `torch.compile` {by_compiled:.2f}.", "",
        "| model | eager | compiled | ours | ours / eager | ours / compiled | compiling s | "
        "building s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|", *rows, "",
    ]  # fmt: skip


def _row(row: dict[str, Any]) -> str:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    theirs, relative = None, None
    if row["framework"]:
        forward, both = row["framework"]
        theirs, relative = both / forward, row["both"] / both
    error = row.get("error", row.get("slopes"))
    cells = [
        row["name"], row["exporter"], str(row["side"]), number(error, ".0e"),
        number(row.get("least"), ".0e"), number(row.get("float32"), ".0e"), verdict(row),
        number(row["both"] / row["forward"], ".2f"), number(theirs, ".2f"),
        number(relative, ".2f"), number(row["size"], ".2f"), number(row["nodes"], ".1f"),
        number(row["build"], ".1f"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure, compare, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["measure", "compare", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("K", "PARTS"))
    given = parser.parse_args()
    if given.what == "measure":
        measure(given.folder, *given.part)
    else:
        {"compare": compare, "table": write_table}[given.what](given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
