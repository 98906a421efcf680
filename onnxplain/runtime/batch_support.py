"""Which batch sizes a model takes: found by running it, because declarations can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    from onnxplain.graph.batch_proof import BatchProof
    from onnxplain.graph.load import ModelFile

CPU = Device("cpu")


@dataclass(frozen=True, slots=True)
class BatchSupport:
    """The number of images that a call of a model may hold.

    Parameters
    ----------
    fixed : int or None
        The only number that works; None if any number does.
    text : str
        How this was found out.
    rewritten : bool
        Whether the model takes any number only after its graph was made dynamic.
    """

    fixed: int | None
    text: str
    rewritten: bool = False


def find_batch_support(model: ModelFile, spec: ModelSpec) -> BatchSupport:
    """Find out which batch sizes a model takes; the answer is remembered in the cache folder.

    A batch that is declared dynamic is tested, as declarations can be wrong. A fixed batch of 1 is
    made dynamic and tested. If the test fails, the model runs at batch 1.

    Raises
    ------
    ModelError
        If the model cannot be run at all.
    """
    key = model.sha256, spec.input, spec.output, str(spec.size), get_ort_version(), __version__
    if (remembered := recall_parsed("batch", key, _parse_support)) is not None:
        return remembered
    support = _test_batches(model, spec)
    facts = {"fixed": support.fixed, "text": support.text, "rewritten": support.rewritten}
    remember("batch", key, facts)
    return support


def _parse_support(facts: Mapping[str, Any]) -> BatchSupport:
    """Return what was remembered; raise a ValueError if it cannot have been."""
    support = BatchSupport(facts["fixed"], facts["text"], facts["rewritten"])
    fixed, text, rewritten = support.fixed, support.text, support.rewritten
    if not (
        (fixed is None or (type(fixed) is int and fixed > 0))
        and isinstance(text, str)
        and isinstance(rewritten, bool)
    ):
        raise ValueError(f"no answer about batches: {facts}")
    return support


def open_batched(
    model: ModelFile, spec: ModelSpec, support: BatchSupport, device: Device
) -> Session:
    """Open the graph that takes the batch: the file's own, or the rewritten one."""
    if support.rewritten:
        return _open_rewritten(model, spec, device)
    return _open_original(model, device)


def _open_original(model: ModelFile, device: Device) -> Session:
    return open_session(model.content, device, name=model.path.name)


def _open_rewritten(model: ModelFile, spec: ModelSpec, device: Device) -> Session:
    from onnxplain.graph.rebatch import make_batch_dynamic

    content = make_batch_dynamic(model.proto, spec).SerializeToString()
    return open_session(content, device, name=model.path.name, folder=model.folder)


def _test_batches(model: ModelFile, spec: ModelSpec) -> BatchSupport:
    from onnxplain.graph.batch_proof import read_fixed_batch

    declared = read_fixed_batch(model.proto, spec.input)
    if declared not in (None, 1):
        return BatchSupport(declared, f"the graph fixes it at {declared}")
    original = _open_original(model, CPU)
    if declared is None:
        proof = _compare_batched(original, original, spec)
        if proof.proved:
            return BatchSupport(None, f"dynamic, as declared; {proof.reason}")
        return BatchSupport(1, f"declared dynamic, but {proof.reason}")
    try:
        rewritten = _open_rewritten(model, spec, CPU)
    except ModelError as error:
        return BatchSupport(1, f"the graph fixes it at 1, and could not be made dynamic: {error}")
    proof = _compare_batched(original, rewritten, spec)
    if proof.proved:
        return BatchSupport(None, f"fixed at 1, made dynamic; {proof.reason}", rewritten=True)
    return BatchSupport(1, f"fixed at 1; made dynamic, {proof.reason}")


def _compare_batched(single: Session, batched: Session, spec: ModelSpec) -> BatchProof:
    """Compare answers to a batch with answers to single images, on CPU.

    On a GPU, the rounding of TF32 would hide the differences that matter.
    """
    from onnxplain.graph.batch_proof import make_probe_images, prove_batch

    def score(session: Session, rows: NDArray[Any]) -> NDArray[Any]:
        return session.run({spec.input: rows}, [spec.output])[0]

    images = make_probe_images(spec.size)
    rows = HostComposer(ModelSpace.of(spec)).enter(images, len(images))
    return prove_batch(lambda x: score(single, x), lambda x: score(batched, x), rows)
