"""Every registered method with parameters that make it quick."""

from onnxplain.core.flow import Method
from onnxplain.core.params import list_parameters
from onnxplain.registry import METHODS

SMALL = {  # a method gets those that it declares
    "patch": 5,
    "n_samples": 8,
    "n_segments": 6,
    "n_masks": 20,
    "grid": 4,
    "n_steps": 3,
    "n_replicates": 1,
    "chance": 0.3,
    "sigma": 1.0,
}
# Patterns need no file if they are made of the weights alone.
FILTERS = {name: {"estimator": "filter"} for name in ("pattern-attribution", "pattern-net")}


def make_small(name: str) -> Method:
    """Make a method of few evaluations."""
    cls = METHODS[name]
    names = {parameter.name for parameter in list_parameters(cls)}
    small = {key: value for key, value in SMALL.items() if key in names}
    return cls(**small, **FILTERS.get(name, {}))
