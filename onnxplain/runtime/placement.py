"""Which provider runs which nodes of a loaded model.

ONNX Runtime gives a provider only the nodes that it has kernels for, and the CPU all others,
without a word: a session that has CUDA's provider need not use it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from onnxplain.core.errors import DeviceError
from onnxplain.runtime.device import PROVIDERS, Device

# Operators that nearly all of the time goes into, whatever ONNX Runtime has fused with them:
# convolutions, products of matrices, recurrent layers, Fourier transforms. (Shapes and indices are
# best computed on the CPU, and are there by intention.)
_HEAVY = ("Conv", "MatMul", "Gemm", "Einsum", "Attention", "LSTM", "GRU", "RNN", "DFT", "STFT")


class Placement(NamedTuple):
    """Where the nodes of an optimised graph run.

    Parameters
    ----------
    nodes : mapping
        Number of nodes by provider.
    heavy : mapping
        Number of heavy nodes by operator, by provider.
    """

    nodes: Mapping[str, int]
    heavy: Mapping[str, Mapping[str, int]]

    @property
    def heavy_on_cpu(self) -> Mapping[str, int]:
        """Heavy nodes that the CPU runs: their number by operator."""
        return self.heavy.get(PROVIDERS["cpu"], {})

    @property
    def plans_shapes(self) -> bool:
        """Whether there are convolutions, which CUDA makes a plan for at each new shape."""
        return any("Conv" in operator for counts in self.heavy.values() for operator in counts)


def read_placement(raw: Any) -> Placement:
    """Read the placement of ONNX Runtime's session, which must have recorded it."""
    nodes: Counter[str] = Counter()
    heavy: dict[str, Counter[str]] = {}
    for subgraph in raw.get_provider_graph_assignment_info():
        operators = [node.op_type for node in subgraph.get_nodes()]
        nodes[subgraph.ep_name] += len(operators)
        heavy.setdefault(subgraph.ep_name, Counter()).update(filter(_is_heavy, operators))
    return Placement(dict(nodes), {name: dict(counts) for name, counts in heavy.items() if counts})


def check_placement(placement: Placement, name: str, device: Device) -> str:
    """Return what a GPU leaves to the CPU, as a warning; "" if that is nothing heavy.

    Raises
    ------
    DeviceError
        If it leaves all of the work to the CPU.
    """
    provider = PROVIDERS[device.where]
    left = placement.heavy_on_cpu
    if provider not in (placement.heavy or placement.nodes) and placement.nodes:
        operators = f": {_list_operators(left)}" if left else ""
        raise DeviceError(
            f"--device {device} cannot run {name}: ONNX Runtime has no CUDA kernels for its "
            f"operators, and the CPU would do all of the work{operators}; use --device cpu"
        )
    if not left:
        return ""
    return (
        f"{name}: ONNX Runtime has no CUDA kernels for {_list_operators(left)}, which run on the "
        f"CPU, with copies between; --device cpu may be faster"
    )


def _is_heavy(operator: str) -> bool:
    return any(part in operator for part in _HEAVY)


def _list_operators(counts: Mapping[str, int]) -> str:
    listed: Iterable[str] = (f"{count} {operator}" for operator, count in sorted(counts.items()))
    return ", ".join(listed)
