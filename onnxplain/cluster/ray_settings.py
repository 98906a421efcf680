"""How many workers of which size there are, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass

LOCAL = "local"
ADDRESS = re.compile(r"(ray://)?[^/\s]+:\d+")


@dataclass(frozen=True)
class Ray:
    """A Ray cluster that shares the work of `onnxplain.evaluate` or `onnxplain.explain_many`.

    Parameters
    ----------
    address : str
        ``local`` starts Ray on this machine for the time of the work; ``auto`` joins the cluster
        that this machine belongs to; else the address of a cluster, as ``10.0.0.1:6379`` or
        ``ray://10.0.0.1:10001``.
    workers : int, optional
        Number of workers, at least 1. If not given, as many as the cluster has room for, also
        when machines join later.
    cores : int
        Cores per worker, at least 1; its threads stay on them.
    gpus : float
        GPUs per worker; 0 for work on CPUs, 1 for a whole GPU, less for a share.

    Notes
    -----
    All machines need the same versions of onnxplain, ONNX Runtime, Python and Ray, and the photos
    and models under the same paths. Every worker holds the models in memory. Ray trusts everybody
    who reaches its ports: run it in a closed network only.

    Examples
    --------
    >>> import onnxplain
    >>> two = onnxplain.Ray(workers=2)
    >>> study = onnxplain.evaluate("photos", methods="lime", cluster=two)  # doctest: +SKIP
    """

    address: str = LOCAL
    workers: int | None = None
    cores: int = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.address not in (LOCAL, "auto") and not ADDRESS.fullmatch(self.address):
            raise ValueError(
                f"the address of a Ray cluster is local, auto, or like 10.0.0.1:6379 or "
                f"ray://10.0.0.1:10001, got {self.address!r}"
            )
        for name, number in (("workers", self.workers), ("cores", self.cores)):
            if number is not None and (type(number) is not int or number < 1):
                raise ValueError(f"{name} must be a whole number >= 1, got {number!r}")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise ValueError(f"gpus must be 0, a share up to 1, or whole, got {self.gpus!r}")
