"""Which batch sizes a model takes, and whether an image has one answer, alone or with others.

Both are found by running the model, because declarations can be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from onnxplain.cache import recall_parsed, remember
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.ort import get_ort_version
from onnxplain.runtime.session import Session, open_session
from onnxplain.version import __version__

if TYPE_CHECKING:  # they import onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.batch_proof import SingleAnswers
    from onnxplain.graph.load import ModelFile
    from onnxplain.graph.randomness import RandomNode

CPU = Device("cpu")


@dataclass(frozen=True, slots=True)
class BatchSupport:
    """The number of images that a call of a model may hold.

    Parameters
    ----------
    fixed : int or None
        The only number of rows that works; None if any number does.
    text : str
        How this was found out.
    rewritten : bool
        Whether the model takes any number only after its graph was made dynamic.
    alone : bool
        Whether all rows of a call must hold the same image, as others change its answer.
    random : str
        What makes answers random, and what to do about it; "" if nothing does.
    """

    fixed: int | None
    text: str
    rewritten: bool = False
    alone: bool = False
    random: str = ""

    @property
    def images(self) -> int | None:
        """The only number of different images that a call may hold; None if any number."""
        return 1 if self.alone else self.fixed


def find_batch_support(model: ModelFile, spec: ModelSpec) -> BatchSupport:
    """Find out which batch sizes a model takes; the answer is remembered in the cache folder.

    A batch that is declared dynamic is tested, as declarations can be wrong. A fixed batch of 1 is
    made dynamic and tested. If the test fails, the model runs at batch 1. A fixed batch of more is
    tested too, and if an image has another answer beside others, a call holds it alone, repeated.

    Raises
    ------
    ModelError
        If the model cannot be run at all, its answer to an image is random and the spec does not
        allow it, or depends on the place in the batch.
    """
    key = model.sha256, spec.input, spec.output, str(spec.size), get_ort_version(), __version__
    support = recall_parsed("batch", key, _parse_support)
    if support is None:
        support = _test_batches(model, spec)
        remember("batch", key, asdict(support))
    if support.random and not spec.allow_random:
        raise ModelError(
            f"{model.path.name}: {support.random}; or take it as it is with --allow-random "
            f"(allow_random=True)"
        )
    return support


def _parse_support(facts: Mapping[str, Any]) -> BatchSupport:
    """Return what was remembered; raise a ValueError if it cannot have been."""
    names = [field.name for field in fields(BatchSupport)]
    support = BatchSupport(**{name: facts[name] for name in names})
    fixed = support.fixed
    if not (
        (fixed is None or (type(fixed) is int and fixed > 0))
        and all(isinstance(text, str) for text in (support.text, support.random))
        and all(isinstance(flag, bool) for flag in (support.rewritten, support.alone))
    ):
        raise ValueError(f"no answer about batches: {facts}")
    return support


def open_batched(
    model: ModelFile, spec: ModelSpec, support: BatchSupport, device: Device, *, tf32: bool = False
) -> Session:
    """Open the graph that takes the batch: the file's own, or the rewritten one."""
    if support.rewritten:
        return _open_rewritten(model, spec, device, tf32=tf32)
    return _open_original(model, device, tf32=tf32)


def _open_original(model: ModelFile, device: Device, *, tf32: bool = False) -> Session:
    return open_session(model.content, device, name=model.path.name, tf32=tf32)


def _open_rewritten(
    model: ModelFile, spec: ModelSpec, device: Device, *, tf32: bool = False
) -> Session:
    from onnxplain.graph.rebatch import make_batch_dynamic

    content = make_batch_dynamic(model.proto, spec).SerializeToString()
    return open_session(content, device, name=model.path.name, folder=model.folder, tf32=tf32)


def _test_batches(model: ModelFile, spec: ModelSpec) -> BatchSupport:
    """Compare answers on CPU: on a GPU, the rounding of TF32 hides the differences that matter."""
    from onnxplain.graph.batch_proof import (
        RTOL,
        answer_alone,
        make_probe_images,
        prove_batch,
        read_fixed_batch,
    )
    from onnxplain.graph.randomness import list_random_nodes

    declared = read_fixed_batch(model.proto, spec.input)
    nodes = list_random_nodes(model.proto, spec.output, model.shapes.values)
    if certain := [node for node in nodes if node.is_certain]:
        return _support_random(declared, _describe_random(certain))
    images = make_probe_images(spec.size)
    inputs = HostComposer(ModelSpace.of(spec)).enter(images, len(images))
    original = _open_original(model, CPU)
    alone = answer_alone(partial(_score, original, spec), inputs, declared or 1)
    if alone.again > RTOL:
        why = f"two answers to the same image differ by {alone.again:.1e} of the largest"
        return _support_random(declared, f"{why}; {_describe_random(nodes)}")
    if declared is not None and declared > 1:
        if alone.problem or alone.places > RTOL:
            raise ModelError(_describe_places(model.path.name, declared, alone))
        proof = prove_batch(alone, partial(_score, original, spec), inputs, declared)
        if proof.proved:
            return BatchSupport(declared, f"the graph fixes it at {declared}; {proof.reason}")
        text = f"the graph fixes it at {declared}, but {proof.reason}; a call holds one image"
        return BatchSupport(declared, text, alone=True)
    if declared is None:
        proof = prove_batch(alone, partial(_score, original, spec), inputs)
        if proof.proved:
            return BatchSupport(None, f"dynamic, as declared; {proof.reason}")
        return BatchSupport(1, f"declared dynamic, but {proof.reason}")
    try:
        rewritten = _open_rewritten(model, spec, CPU)
    except ModelError as error:
        return BatchSupport(1, f"the graph fixes it at 1, and could not be made dynamic: {error}")
    proof = prove_batch(alone, partial(_score, rewritten, spec), inputs)
    if proof.proved:
        return BatchSupport(None, f"fixed at 1, made dynamic; {proof.reason}", rewritten=True)
    return BatchSupport(1, f"fixed at 1; made dynamic, {proof.reason}")


def _score(session: Session, spec: ModelSpec, rows: NDArray[Any]) -> NDArray[Any]:
    return session.run({spec.input: rows}, [spec.output])[0]


def _support_random(declared: int | None, random: str) -> BatchSupport:
    """Return the support of a model whose answers nothing can be proved of."""
    text = f"its answers are random, so that a call holds one image: {random}"
    return BatchSupport(declared or 1, text, alone=(declared or 1) > 1, random=random)


def _describe_random(nodes: Sequence[RandomNode]) -> str:
    """Say what makes answers random, and what to do about it."""
    if not nodes:
        return "export the model without what is random in it"
    more = f", and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{nodes[0].text}{more}; {nodes[0].advice}"


def _describe_places(name: str, rows: int, alone: SingleAnswers) -> str:
    """Say that an image has no answer of its own in a batch of fixed size."""
    seen = alone.problem or (
        f"the same image in all {rows} rows gets answers that differ by {alone.places:.1e} of the "
        f"largest"
    )
    return (
        f"{name}: the graph fixes the batch at {rows}, and an image has no answer of its own: "
        f"{seen}; export it with a batch of 1, or a dynamic one"
    )
