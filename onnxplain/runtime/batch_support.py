"""Which batch sizes a model takes: found out by running it, never believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from onnxplain.cache import recall, remember
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.composing.host import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import Session, get_ort_version, open_session
from onnxplain.version import __version__

if TYPE_CHECKING:  # they import onnx, which takes 0.2 s and which not every use needs
    from onnxplain.graph.batch_proof import BatchProof
    from onnxplain.graph.load import ModelFile

CPU = Device("cpu")


@dataclass(frozen=True, slots=True)
class BatchSupport:
    """How many images a call of a model may hold.

    Parameters
    ----------
    fixed : int or None
        The only number that works; None if any does.
    text : str
        How that was found out.
    rewritten : bool
        Whether it is the graph made dynamic that takes any number.
    """

    fixed: int | None
    text: str
    rewritten: bool = False


def find_batch_support(model: ModelFile, spec: ModelSpec) -> BatchSupport:
    """Find out which batch sizes a model takes; remembered in the cache folder.

    A declared dynamic batch is put to the proof, since declarations lie. A fixed batch of
    1 is made dynamic and put to the proof. Where that fails, the model runs at batch 1.

    Raises
    ------
    ModelError
        If the model cannot be run at all.
    """
    key = model.sha256, spec.input, spec.output, str(spec.size), get_ort_version(), __version__
    if (known := recall("batch", key)) is not None:
        return BatchSupport(known["fixed"], known["text"], known["rewritten"])
    found = _find_out(model, spec)
    facts = {"fixed": found.fixed, "text": found.text, "rewritten": found.rewritten}
    remember("batch", key, facts)
    return found


def open_batched(model: ModelFile, spec: ModelSpec, batch: BatchSupport, device: Device) -> Session:
    """A session of the graph that takes the batch: the file's own, or the rewritten one."""
    return _rewritten(model, spec, device) if batch.rewritten else _original(model, device)


def _original(model: ModelFile, device: Device) -> Session:
    return open_session(model.content, device, name=model.path.name)


def _rewritten(model: ModelFile, spec: ModelSpec, device: Device) -> Session:
    from onnxplain.graph.rebatch import make_batch_dynamic

    content = make_batch_dynamic(model.proto, spec).SerializeToString()
    return open_session(content, device, name=model.path.name, folder=model.folder)


def _find_out(model: ModelFile, spec: ModelSpec) -> BatchSupport:
    from onnxplain.graph.batch_proof import read_fixed_batch

    declared = read_fixed_batch(model.proto, spec.input)
    if declared not in (None, 1):
        return BatchSupport(declared, f"the graph fixes it at {declared}")
    original = _original(model, CPU)
    if declared is None:
        proof = _prove(original, original, spec)
        if proof.proved:
            return BatchSupport(None, f"dynamic, as declared; {proof.reason}")
        return BatchSupport(1, f"declared dynamic, but {proof.reason}")
    try:
        made = _rewritten(model, spec, CPU)
    except ModelError as error:
        return BatchSupport(1, f"the graph fixes it at 1, and could not be made dynamic: {error}")
    proof = _prove(original, made, spec)
    if proof.proved:
        return BatchSupport(None, f"fixed at 1, made dynamic; {proof.reason}", rewritten=True)
    return BatchSupport(1, f"fixed at 1; made dynamic, {proof.reason}")


def _prove(single: Session, batched: Session, spec: ModelSpec) -> BatchProof:
    """Compare on CPU, whatever the device: there TF32 blurs what is to be told apart."""
    from onnxplain.graph.batch_proof import make_probe_images, prove_batch

    def scores(session: Session, rows: NDArray[Any]) -> NDArray[Any]:
        return session.run({spec.input: rows}, [spec.output])[0]

    inputs = HostComposer(ModelSpace.of(spec)).enter(make_probe_images(spec.size))
    return prove_batch(lambda x: scores(single, x), lambda x: scores(batched, x), inputs)
