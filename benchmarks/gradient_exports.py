"""Export models with their frameworks' gradients, as cases for `benchmarks.gradient_coverage`.

    pip install torch torchvision timm onnxscript
    python -m benchmarks.gradient_exports torch FOLDER torchscript
    python -m benchmarks.gradient_exports torch FOLDER dynamo
    pip install tensorflow-cpu tf2onnx keras
    python -m benchmarks.gradient_exports keras FOLDER tf2onnx
    python -m benchmarks.gradient_exports keras FOLDER keras
    python -m benchmarks.gradient_exports files FOLDER *.onnx

Each case is a folder with the exported model, images, and the framework's gradient of the log-odds
in float64 and float32. Cases that exist already are skipped.

Weights are random. Constant weights (normalisations, layer scales) are drawn too, as an identity
would hide errors.
"""

from __future__ import annotations

import argparse
import importlib.metadata
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

IMAGES, TARGET, SECONDS = 3, 7, 240

# One or two networks per family. The number is the side of the images, if the network fixes it.
TIMM = """
resnet18 mobilenetv2_050 mobilenetv3_small_050 ghostnet_050 mnasnet_small tinynet_e lcnet_050
regnety_002 regnetx_002 convnext_atto vit_tiny_patch16_224:224 fasternet_t0 starnet_s1
repghostnet_050 efficientvit_b0 efficientvit_m0:224 shvit_s1 efficientvim_m1:224 mobilevit_xxs
edgenext_xx_small levit_128s:224 repvit_m0_9 swiftformer_xs:224 mambaout_femto convnextv2_atto
mixnet_s hardcorenas_a dla34 ese_vovnet19b_slim_dw hgnetv2_b0 repvgg_a0 tf_efficientnet_b0
efficientnet_b0 pvt_v2_b0 pit_ti_224:224 fastvit_t8 skresnet18 resnest14d poolformer_s12
mobilevitv2_050 efficientformerv2_s0:224 nf_regnet_b0 gernet_s deit_tiny_patch16_224:224
xcit_nano_12_p16_224:224 coat_lite_tiny:224 crossvit_tiny_240:240 convit_tiny:224
resnetv2_18 vit_tiny_r_s16_p8_224:224 densenet121 seresnet50 cspdarknet53 res2net50_14w_8s
resnext50_32x4d inception_v3 rexnet_100 selecsls42b legacy_xception dpn48b hrnet_w18_small
swin_tiny_patch4_window7_224:224 tiny_vit_5m_224:224 visformer_tiny:224 mixer_s32_224:224
focalnet_tiny_srf eva02_tiny_patch14_224:224 coatnet_pico_rw_224:224 twins_pcpvt_small:224
maxvit_rmlp_pico_rw_256:256 botnet26t_256:256 xception41 inception_next_atto caformer_s18
""".split()

TORCHVISION = """
resnet18 mobilenet_v2 mobilenet_v3_small mnasnet0_5 squeezenet1_1 shufflenet_v2_x0_5
efficientnet_b0 regnet_y_400mf googlenet convnext_tiny swin_t:224 densenet121 alexnet:224
""".split()

# Fewer networks suffice: the newer exporter writes other nodes, but the same operators.
DYNAMO = """
resnet18 mobilenetv3_small_050 ghostnet_050 regnety_002 convnext_atto vit_tiny_patch16_224:224
fasternet_t0 starnet_s1 edgenext_xx_small levit_128s:224 mambaout_femto efficientvit_b0 tinynet_e
mixnet_s repvit_m0_9 hgnetv2_b0 pvt_v2_b0 fastvit_t8 densenet121 poolformer_s12
""".split()

# Networks that are compared with `torch.compile`.
COMPILED = """
resnet18 mobilenetv2_050 mobilenetv3_small_050 ghostnet_050 mnasnet_small regnety_002
convnext_atto vit_tiny_patch16_224:224 fasternet_t0 efficientnet_b0 edgenext_xx_small repvit_m0_9
tinynet_e skresnet18
""".split()

KERAS = """MobileNet MobileNetV2 MobileNetV3Small EfficientNetB0 EfficientNetV2B0 ResNet50V2
Xception DenseNet121 ConvNeXtTiny ResNet50 InceptionV3 NASNetMobile""".split()


@contextmanager
def record_failure(folder: Path, *, seconds: int = SECONDS) -> Iterator[None]:
    """Write an error of the block to the folder; more than `seconds` of CPU time is an error."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s of CPU time")

    folder.mkdir(parents=True, exist_ok=True)
    failed = folder / "failed.txt"
    failed.unlink(missing_ok=True)
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        failed.write_text(f"{type(error).__name__}: {text[0][:300]}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    print(folder.name, "failed" if failed.exists() else "", flush=True)


def write_case(folder: Path, facts: dict[str, Any], **arrays: Any) -> None:
    """Write images and gradients, and then the facts, which mark the case as complete."""
    np.savez(folder / "case.npz", **arrays)
    (folder / "case.json").write_text(json.dumps(facts))


def _format_versions(*packages: str) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def measure_medians(*calls: Callable[[], object], repeats: int = 3) -> list[float]:
    """Return the median CPU seconds of each call on one thread; the calls take turns.

    Other work on the same cores hardly affects the CPU time of the process.
    """
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats + 1):
        for seconds, call in zip(times, calls, strict=True):
            start = time.process_time()
            call()
            seconds.append(time.process_time() - start)
    return [float(np.median(seconds[1:])) for seconds in times]


# PyTorch.


def export_torch(root: Path, exporter: str, *only: str) -> None:
    """Export the networks of timm and torchvision, or only some, by an exporter of PyTorch."""
    dynamo = exporter == "dynamo"
    timm_specs = [(spec, "timm") for spec in (DYNAMO if dynamo else TIMM)]
    for spec, library in timm_specs + [(spec, "torchvision") for spec in TORCHVISION]:
        name, _, side = spec.partition(":")
        label = name if library == "timm" else f"torchvision {name}"
        folder = root / f"{label} {exporter}"
        if not folder.exists() and (not only or label in only):
            with record_failure(folder):
                network, family = make_torch_network(name, library)
                facts = {"name": label, "family": family, "exporter": exporter}
                _write_torch_case(folder, network, int(side or 128), facts, library)


def make_torch_network(name: str, library: str = "timm") -> tuple[Any, str]:
    """Make a network with random weights; return it and its family, the module that defines it."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    if library == "torchvision":
        from torchvision import models

        options = {"init_weights": False} if name == "googlenet" else {}
        network = models.get_model(name, weights=None, **options)
        if name == "googlenet":
            network.aux_logits = False
            network.aux1 = network.aux2 = None
        return network, type(network).__module__.rpartition(".")[2]
    import timm

    network = timm.create_model(name, pretrained=False, exportable=True)
    return network, timm.models.model_entrypoint(name).__module__.rpartition(".")[2]


def _write_torch_case(
    folder: Path, network: Any, side: int, facts: dict[str, Any], library: str
) -> None:
    """Export a network and write its gradients and times."""
    import torch

    x = torch.randn(IMAGES, 3, side, side)
    _draw_constant_parameters(network, x)
    path, export = folder / "model.onnx", torch.onnx.export
    names = {"input_names": ["image"], "output_names": ["logits"]}
    if facts["exporter"] == "dynamo":
        batch = ({0: torch.export.Dim("N")},)
        options = {"dynamo": True, "external_data": False, "verbose": False}
        export(network, (x,), path, dynamic_shapes=batch, **options, **names)
    else:
        axes = {"image": {0: "N"}, "logits": {0: "N"}}
        export(network, (x,), path, dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    with torch.inference_mode():
        forward, _ = measure_medians(lambda: network(x), lambda: None)
    both, _ = measure_medians(lambda: compute_torch_gradient(network, x), lambda: None)
    single = compute_torch_gradient(network, x)
    double = compute_torch_gradient(network.double(), x.double())
    facts = facts | {
        "side": side,
        "framework": [forward, both],
        "version": _format_versions("torch", library),
    }
    write_case(folder, facts, x=x.numpy(), single=single, double=double)


def compute_torch_gradient(network: Any, images: Any) -> Any:
    """Return PyTorch's gradient of the target's log-odds by the images."""
    import torch

    images = images.clone().requires_grad_()
    z = network(images)
    rest = torch.cat([z[:, :TARGET], z[:, TARGET + 1 :]], 1).logsumexp(1)
    (z[:, TARGET] - rest).sum().backward()
    return images.grad.numpy()


def _draw_constant_parameters(network: Any, x: Any) -> None:
    """Draw constant parameters, and set the statistics of normalisations from the images `x`."""
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


# Keras.


def export_keras(root: Path, exporter: str) -> None:
    """Export the applications of Keras, by tf2onnx or by Keras' own exporter."""
    import keras

    for name in KERAS:
        folder = root / f"{name} {exporter}"
        if not folder.exists():
            with record_failure(folder):
                keras.utils.set_random_seed(0)
                _write_keras_case(folder, name, exporter)


def _make_keras_network(name: str, side: int) -> Any:
    import keras

    build = getattr(keras.applications, name)
    return build(weights=None, input_shape=(side, side, 3), classifier_activation=None)


def _write_keras_case(folder: Path, name: str, exporter: str, side: int = 128) -> None:
    """Export an application and write its gradients."""
    import keras

    network = _make_keras_network(name, side)
    x = np.random.default_rng(0).normal(size=(IMAGES, side, side, 3)).astype(np.float32)
    network.set_weights(_draw_constant_weights(network.get_weights()))
    path = folder / "model.onnx"
    if exporter == "keras":
        network(x[:1])  # a model is exported only after its first call
        network.export(path, format="onnx", opset_version=17, verbose=False)
    else:
        _export_by_tf2onnx(network, path, side)
    single = _compute_keras_gradient(network, x)
    keras.config.set_dtype_policy("float64")
    try:
        wide = _make_keras_network(name, side)
    finally:
        keras.config.set_dtype_policy("float32")
    wide.set_weights(network.get_weights())
    double = _compute_keras_gradient(wide, x.astype(np.float64))
    facts = {
        "name": name,
        "family": f"keras {name}",
        "exporter": exporter,
        "side": side,
        "framework": None,
        "version": _format_versions("keras", "tensorflow_cpu", "tf2onnx"),
    }
    write_case(folder, facts, x=x, single=single, double=double)


def _draw_constant_weights(weights: list[Any]) -> list[Any]:
    """Draw constant weights: scales and variances around 1, biases and means around 0."""
    rng = np.random.default_rng(0)
    drawn = []
    for weight in weights:
        if weight.size > 1 and np.ptp(weight) == 0:
            noise = 0.2 * rng.normal(size=weight.shape)
            weight = np.abs(weight + noise) if weight.flat[0] else noise
        drawn.append(weight)
    return drawn


def _export_by_tf2onnx(network: Any, path: Path, side: int) -> None:
    """Freeze variables and captured constants, which tf2onnx would make inputs, and export."""
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    signature = [tf.TensorSpec([None, side, side, 3], tf.float32, name="image")]
    run = tf.function(lambda image: network(image, training=False), input_signature=signature)
    frozen = convert_variables_to_constants_v2(run.get_concrete_function())
    tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=17,
        output_path=str(path),
    )


def _compute_keras_gradient(network: Any, images: Any) -> Any:
    """Return TensorFlow's gradient of the target's log-odds by the images."""
    import tensorflow as tf

    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        z = network(images, training=False)
        rest = tf.concat([z[:, :TARGET], z[:, TARGET + 1 :]], 1)
        score = tf.reduce_sum(z[:, TARGET] - tf.reduce_logsumexp(rest, 1))
    return tape.gradient(score, images).numpy()


# Files.


def copy_files(root: Path, files: list[str]) -> None:
    """Copy models that have no framework; their gradients are checked by differences of scores."""
    for path in map(Path, files):
        folder = root / f"{path.stem} file"
        if folder.exists():
            continue
        with record_failure(folder):
            model = onnx.load(path)
            _draw_weights(model)
            stored = {tensor.name for tensor in model.graph.initializer}
            image = next(value for value in model.graph.input if value.name not in stored)
            dims = image.type.tensor_type.shape.dim
            shape = [dim.dim_value or 64 for dim in dims]
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
    """Draw the weights that a graph fills with one number, as in the light_* models of onnx."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    rng = np.random.default_rng(0)
    constant_nodes = [
        node
        for node in model.graph.node
        if node.op_type == "ConstantOfShape" and node.input[0] in stored
    ]
    for node in constant_nodes:
        shape = onnx.numpy_helper.to_array(stored[node.input[0]])
        deviation = np.sqrt(2 / max(np.prod(shape[1:]), 1)) if len(shape) > 1 else 0.1
        values = rng.normal(size=shape) * deviation
        values = np.abs(values) + 0.5 if len(shape) == 1 else values
        name = node.output[0]
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype("f"), name))
        model.graph.node.remove(node)


def main() -> int:
    """Make the cases of a framework, or of files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", choices=["torch", "keras", "files"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", nargs="*", help="the exporter (and names), or files")
    args = parser.parse_args()
    if args.source == "torch":
        export_torch(args.folder, *args.rest)
    elif args.source == "keras":
        export_keras(args.folder, *args.rest)
    else:
        copy_files(args.folder, args.rest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
