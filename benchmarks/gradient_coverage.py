"""Which models can be differentiated, how exactly, and at what cost.

    pip install torch onnxscript timm
    python -m benchmarks.gradient_coverage torch FOLDER torchscript
    python -m benchmarks.gradient_coverage torch FOLDER dynamo
    python -m benchmarks.gradient_coverage keras FOLDER          (TensorFlow, tf2onnx)
    python -m benchmarks.gradient_coverage files FOLDER *.onnx
    python -m benchmarks.gradient_coverage measure FOLDER

The first four write a folder a case: the exported model, an input, and the framework's
gradient of the log-odds in float64 and float32. `measure` builds each gradient, compares it
and writes `benchmarks/results/gradient_coverage.md`. Cases that are there are not made again.

Weights are random, and constant ones (normalisations, layer scales) are drawn too, as an
identity would hide errors. The error is ``||g - g64|| / ||g64||`` of each image, the median
over the images. In networks with ReLU or max-pooling a value within rounding of a kink sends
the gradient another way in float32, in the framework too: such errors are told apart by
moving the images by less than they are rounded.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

# ruff: noqa: SIM905 (a list of names reads better as words)

RESULTS = Path(__file__).parent / "results" / "gradient_coverage.md"
IMAGES, TARGET, SECONDS = 3, 7, 240
EXACT, NUDGE = 1e-5, 1e-7
RIGHT = ("exact", "exact but for kinks", "as float32", "slopes agree")

# One or two of a family; the number is the input's side where the network insists on it.
TIMM = """
resnet18 vgg11:224 densenet121 mobilenetv2_050 mobilenetv3_small_050 efficientnet_b0 regnety_002
vit_tiny_patch16_224:224 convnext_atto swin_tiny_patch4_window7_224:224 tf_efficientnet_b0
resnext50_32x4d seresnet50 mnasnet_small tinynet_e mixnet_s hardcorenas_a ghostnet_050 dla34
inception_v3 inception_v4 inception_resnet_v2 legacy_xception dpn48b ese_vovnet19b_slim_dw
selecsls42b cspdarknet53 hgnetv2_b0 res2net50_14w_8s resnest14d skresnet18 rexnet_100 repvgg_a0
nf_regnet_b0 convnextv2_atto edgenext_xx_small fasternet_t0 fastvit_t8 repvit_m0_9
repghostnet_050 starnet_s1 mambaout_femto focalnet_tiny_srf lcnet_050 efficientformerv2_s0:224
efficientvit_b0 efficientvit_m0:224 mobilevit_xxs mobilevitv2_050 levit_128s:224 pit_ti_224:224
poolformer_s12 caformer_s18 deit_tiny_patch16_224:224 cait_xxs24_224:224 coat_lite_tiny:224
convit_tiny:224 crossvit_tiny_240:240 davit_tiny eva02_tiny_patch14_224:224 gcvit_xxtiny:224
hiera_tiny_224:224 mixer_s32_224:224 mvitv2_tiny:224 nest_tiny:224 pvt_v2_b0
swinv2_tiny_window8_256:256 swinv2_cr_tiny_ns_224:224 sequencer2d_s:224 shvit_s1 swiftformer_xs:224
tiny_vit_5m_224:224 twins_pcpvt_small:224 visformer_tiny:224 vit_relpos_small_patch16_224:224
volo_d1_224:224 xcit_nano_12_p16_224:224 coatnet_pico_rw_224:224 maxvit_rmlp_pico_rw_256:256
resnetv2_18 vit_tiny_r_s16_p8_224:224 xception41 gernet_s botnet26t_256:256 efficientvim_m1:224
rdnet_tiny hrnet_w18_small regnetx_002 inception_next_atto tnt_s_legacy_patch16_224:224
nextvit_small convmixer_768_32 tresnet_m vitamin_small_224:224 lowformer_b0 iformer_t
""".split()

KERAS = """MobileNet MobileNetV2 MobileNetV3Small EfficientNetB0 EfficientNetV2B0 DenseNet121
ResNet50 ResNet50V2 Xception InceptionV3 NASNetMobile ConvNeXtTiny VGG16""".split()


@contextmanager
def attempt(folder: Path) -> Iterator[None]:
    """Note in the folder what failed, and go on; nothing takes longer than SECONDS."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {SECONDS} s")

    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        (folder / "failed.txt").write_text(f"{type(error).__name__}: {text[0][:300]}")
    finally:
        signal.alarm(0)
    print(folder.name, "failed" if (folder / "failed.txt").exists() else "", flush=True)


def write_case(folder: Path, facts: dict[str, Any], **arrays: Any) -> None:
    np.savez(folder / "case.npz", **arrays)
    (folder / "case.json").write_text(json.dumps(facts))


def median_seconds(*calls: Callable[[], object], repeats: int = 5) -> list[float]:
    """Median CPU time of each of some calls of one thread, taken in turn.

    The clock of the process: other work on the same cores hardly shows.
    """
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats + 1):
        for one, call in zip(times, calls, strict=True):
            start = time.process_time()
            call()
            one.append(time.process_time() - start)
    return [float(np.median(one[1:])) for one in times]


# Exporting.


def export_torch(root: Path, exporter: str) -> None:
    import timm

    for spec in TIMM:
        name, _, side = spec.partition(":")
        folder = root / f"{name} {exporter}"
        if folder.exists():
            continue
        family = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
        with attempt(folder):
            _export_timm(folder, name, family, int(side or 128), exporter)


def _export_timm(folder: Path, name: str, family: str, side: int, exporter: str) -> None:
    import timm
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = timm.create_model(name, pretrained=False, exportable=True)
    x = torch.randn(IMAGES, 3, side, side)
    _liven(network, x)
    path, export = folder / "model.onnx", torch.onnx.export
    names = {"input_names": ["image"], "output_names": ["logits"]}
    if exporter == "dynamo":
        batch = ({0: torch.export.Dim("N")},)
        export(
            network,
            (x,),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=batch,
            **names,
        )
    else:
        axes = {"image": {0: "N"}, "logits": {0: "N"}}
        export(network, (x,), path, dynamo=False, opset_version=17, dynamic_axes=axes, **names)

    def gradient(net: Any, images: Any) -> Any:
        images = images.clone().requires_grad_()
        z = net(images)
        rest = torch.cat([z[:, :TARGET], z[:, TARGET + 1 :]], 1).logsumexp(1)
        (z[:, TARGET] - rest).sum().backward()
        return images.grad.numpy()

    with torch.inference_mode():
        forward, _ = median_seconds(lambda: network(x), lambda: None)
    both, _ = median_seconds(lambda: gradient(network, x), lambda: None)
    single = gradient(network, x)
    double = gradient(network.double(), x.double())
    facts = {
        "name": name,
        "family": family,
        "exporter": exporter,
        "side": side,
        "framework": [forward, both],
    }
    write_case(folder, facts, x=x.numpy(), single=single, double=double)


def _liven(network: Any, x: Any) -> None:
    """Draw what is constant, and let normalisations see what they will be given."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() > 1 and parameter.std() < 1e-6:
                parameter.add_(0.2 * torch.randn_like(parameter))
        norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None
            norm.train()
        network.requires_grad_(False)
        network.eval()
        for norm in norms:
            norm.train()
        network(x)
    network.eval()


def export_keras(root: Path) -> None:
    import keras
    import tensorflow as tf

    for name in KERAS:
        folder = root / f"{name} tf2onnx"
        if folder.exists():
            continue
        with attempt(folder):
            keras.utils.set_random_seed(0)
            side = 128
            size = (side, side, 3)
            build = getattr(keras.applications, name)
            network = build(weights=None, input_shape=size, classifier_activation=None)
            _export_keras(folder, network, name, side, tf)


def _export_keras(folder: Path, network: Any, name: str, side: int, tf: Any) -> None:
    import keras
    import tf2onnx

    x = np.random.default_rng(0).normal(size=(IMAGES, side, side, 3)).astype(np.float32)
    signature = [tf.TensorSpec([None, side, side, 3], tf.float32, name="image")]
    run = tf.function(lambda image: network(image, training=False), input_signature=signature)
    tf2onnx.convert.from_function(run, signature, opset=17, output_path=str(folder / "model.onnx"))

    def gradient(net: Any, images: Any) -> Any:
        images = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            z = net(images, training=False)
            rest = tf.concat([z[:, :TARGET], z[:, TARGET + 1 :]], 1)
            score = tf.reduce_sum(z[:, TARGET] - tf.reduce_logsumexp(rest, 1))
        return tape.gradient(score, images).numpy()

    single = gradient(network, x)
    keras.config.set_dtype_policy("float64")
    build = getattr(keras.applications, name)
    wide = build(weights=None, input_shape=(side, side, 3), classifier_activation=None)
    wide.set_weights(network.get_weights())
    double = gradient(wide, x.astype(np.float64))
    keras.config.set_dtype_policy("float32")
    facts = {
        "name": name,
        "family": f"keras {name}",
        "exporter": "tf2onnx",
        "side": side,
        "framework": None,
    }
    write_case(folder, facts, x=x, single=single, double=double)


def copy_files(root: Path, files: list[str]) -> None:
    """Models without a framework: judged by differences of their own scores."""
    for path in map(Path, files):
        folder = root / f"{path.stem} file"
        if folder.exists():
            continue
        with attempt(folder):
            model = onnx.load(path)
            _draw_weights(model)
            stored = {one.name for one in model.graph.initializer}
            image = next(one for one in model.graph.input if one.name not in stored)
            dims = image.type.tensor_type.shape.dim
            shape = [one.dim_value or 64 for one in dims]
            fixed = bool(dims[0].dim_value)
            shape[0] = shape[0] if fixed else IMAGES
            onnx.save(model, folder / "model.onnx")
            x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            facts = {
                "name": path.stem,
                "family": path.stem,
                "exporter": "file",
                "side": max(shape[1:]),
                "framework": None,
                "fixed": fixed,
            }
            write_case(folder, facts, x=x)


def _draw_weights(model: onnx.ModelProto) -> None:
    """Random weights for those that a graph makes of one number (onnx's light_* models)."""
    stored = {one.name: one for one in model.graph.initializer}
    rng = np.random.default_rng(0)
    made = [
        node
        for node in model.graph.node
        if node.op_type == "ConstantOfShape" and node.input[0] in stored
    ]
    for node in made:
        shape = onnx.numpy_helper.to_array(stored[node.input[0]])
        spread = np.sqrt(2 / max(np.prod(shape[1:]), 1)) if len(shape) > 1 else 0.1
        values = rng.normal(size=shape) * spread
        values = np.abs(values) + 0.5 if len(shape) == 1 else values
        name = node.output[0]
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype("f"), name))
        model.graph.node.remove(node)


# Measuring.


def measure(root: Path, *, wait: bool) -> None:
    while True:
        ready = sorted(path.parent for path in root.glob("*/case.json"))
        todo = [one for one in ready if not (one / "result.json").exists()]
        for folder in todo:
            with attempt(folder):
                (folder / "result.json").write_text(json.dumps(_measure(folder)))
        write_table(root)
        if not wait:
            return
        time.sleep(5)


def _measure(folder: Path) -> dict[str, Any]:
    import onnxruntime

    from onnxplain.graph.gradient import SCORE, Wish, build_gradient, gradient_name
    from onnxplain.runtime.gradient import RuntimeMeasure

    facts, case = json.loads((folder / "case.json").read_text()), np.load(folder / "case.npz")
    model, x = onnx.load(folder / "model.onnx"), case["x"]
    stored = {one.name for one in model.graph.initializer}
    image = next(one.name for one in model.graph.input if one.name not in stored)
    output = model.graph.output[0].name
    ends = {node.output[0]: node.op_type for node in model.graph.node}.get(output)
    head = "probabilities" if ends == "Softmax" else "logits"
    examples = [{image: x}] if facts.get("fixed") else [{image: x[:2]}, {image: x}]
    start = time.perf_counter()
    wish = Wish(image, output, head=head, kind="log-odds")
    built = build_gradient(model, wish, RuntimeMeasure(), examples)
    seconds = time.perf_counter() - start
    data = built.SerializeToString()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    cpu = ["CPUExecutionProvider"]
    path = str(folder / "model.onnx")
    forward = onnxruntime.InferenceSession(path, options, providers=cpu)
    backward = onnxruntime.InferenceSession(data, options, providers=cpu)
    names = [SCORE, gradient_name(image)]

    def run(images: Any) -> Any:
        targets = np.full(len(images), TARGET if head == "logits" else 1)
        return backward.run(names, {image: images, "target": targets})

    half = forward.get_inputs()[0].type == "tensor(float16)"
    given = {image: x.astype(np.float16) if half else x}
    times = median_seconds(lambda: forward.run([output], given), lambda: run(x))
    result = {
        "build": seconds,
        "forward": times[0],
        "both": times[1],
        "size": len(data) / (folder / "model.onnx").stat().st_size,
        "nodes": len(built.graph.node) / len(model.graph.node),
        "float32": None,
    }
    return result | (_against(case, run, x) if "double" in case else _slopes(run, x))


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


def _slopes(run: Any, x: Any) -> dict[str, float]:
    from onnxplain.graph.gradient import check_gradient

    def one_by_one(images: Any) -> Any:
        parts = [run(np.repeat(image[None], len(x), 0)) for image in images]
        return tuple(np.stack([part[k][0] for part in parts]) for k in (0, 1))

    return {"slopes": check_gradient(one_by_one, x[0], np.random.default_rng(0)).error}


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
    import onnxruntime

    rows, refused, unexported, families = [], [], [], set()
    ratios, sizes = [], []
    for folder in sorted(root.iterdir()):
        failed, done = folder / "failed.txt", folder / "result.json"
        if done.exists():
            facts, result = (
                json.loads((folder / f"{n}.json").read_text()) for n in ("case", "result")
            )
            rows.append(_row(facts, result))
            families.add(facts["family"])
            ratios.append(result["both"] / result["forward"])
            sizes.append(result["size"])
        elif failed.exists():
            listed = refused if (folder / "case.json").exists() else unexported
            listed.append(f"* {folder.name}: {failed.read_text()}")
    if not rows:
        return
    good = sum(row.split("|")[7].strip() in RIGHT for row in rows)
    text = [
        "# Gradients of exported models", "",
        f"{good} of {len(rows) + len(refused)} models of {len(families)} families are right; "
        f"onnxruntime {onnxruntime.__version__}, CPU, 1 thread, batch {IMAGES}, other work on the "
        "same cores: read the ratios. Time of forward and backward over forward: median "
        f"{np.median(ratios):.2f}, 90 % below {np.quantile(ratios, 0.9):.2f}. File size over the "
        f"model's: median {np.median(sizes):.2f}, largest {max(sizes):.2f}.", "",
        "`exact`: relative l2 error against the framework's float64 gradient at most 1e-5. "
        "`exact but for kinks`: a value within rounding of a kink of ReLU or a tie of max-pooling "
        "sends the gradient another way; at an image, or one moved by 1e-7 of its values, the "
        "error is at most 1e-5 (`least`), and the median error at most twice what such moves "
        "change, or the framework's own float32 gradient errs. `as float32`: the same, but every "
        "image crosses kinks. `slopes agree`: no framework; slopes along random directions "
        "within 5 % of differences of scores. Times are CPU time of one thread.",
        "",
        "| model | exporter | side | error | least | framework float32 | verdict | fwd+bwd / fwd | "
        "framework's | ours / framework's | size | nodes | build s |",
        "|---|---|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|", *rows, "",
    ]  # fmt: skip
    if refused:
        text += ["## Not differentiated", "", *refused, ""]
    if unexported:
        text += ["## Not exported (no model to differentiate)", "", *unexported, ""]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(text))


def _row(facts: dict[str, Any], result: dict[str, Any]) -> str:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    theirs, relative = None, None
    if facts["framework"]:
        forward, both = facts["framework"]
        theirs, relative = both / forward, result["both"] / both
    error = result.get("error", result.get("slopes"))
    cells = [
        facts["name"], facts["exporter"], str(facts["side"]), number(error, ".0e"),
        number(result.get("least"), ".0e"), number(result["float32"], ".0e"), verdict(result),
        number(result["both"] / result["forward"], ".2f"), number(theirs, ".2f"),
        number(relative, ".2f"), number(result["size"], ".2f"), number(result["nodes"], ".1f"),
        number(result["build"], ".1f"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["torch", "keras", "files", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", nargs="*", help="the exporter, or files")
    parser.add_argument("--wait", action="store_true", help="measure until interrupted")
    given = parser.parse_args()
    if given.what == "torch":
        export_torch(given.folder, *given.rest)
    elif given.what == "keras":
        export_keras(given.folder)
    elif given.what == "files":
        copy_files(given.folder, given.rest)
    else:
        measure(given.folder, wait=given.wait)
    return 0


if __name__ == "__main__":
    sys.exit(main())
