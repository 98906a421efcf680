"""Maps of several layers combined (Rebuffi, Fong, Ji & Vedaldi, CVPR 2020).

References
----------
.. [1] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, sec. 4.3, :arXiv:`2004.02866`
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Layer, Meaning, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.inside import Array, Reduction, Tensors
from onnxplain.core.params import Param, Parametrised, name_owner, to_plain
from onnxplain.methods.layers import reduce
from onnxplain.methods.layers.at_layer import SCORE, describe_inside
from onnxplain.methods.layers.norm_grad import reduce_norm_grad

log = logging.getLogger(__name__)

Wide: TypeAlias = NDArray[np.float64]
Base: TypeAlias = Literal[
    "norm-grad",
    "norm-grad-selective",
    "grad-cam",
    "grad-cam++",
    "hires-cam",
    "linear-approx",
    "xgrad-cam",
    "layer-cam",
    "grad-cam-elementwise",
    "eigen-cam",
]
MEANING = Meaning("maps of several layers, each brought to [0, 1], as one weighted mean")
# Of the authors' program, from the first layer to the last.
PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "activation-vgg16": (0.2119, 0.3226, 0.3907, 0.0675, 0.0073),
    "activation-resnet50": (0.1699, 0.1950, 0.1931, 0.4420),
    "activation-in-vgg16": (0.153, 0.220, 0.308, 0.181, 0.138),
    "activation-in-resnet50": (0.0876, 0.0712, 0.0493, 0.7918),
    "accuracy-vgg16": (0.0327, 0.1253, 0.2120, 0.3041, 0.3260),
    "accuracy-resnet50": (0.0778, 0.1120, 0.1960, 0.6142),
}


class _Base(NamedTuple):
    """How a method makes a map of a layer, and whether it shows only what is positive."""

    reduce: Reduction
    relu: bool


def _take_plus_plus(values: Array, grads: Array | None) -> NDArray[np.float32]:
    return reduce.grad_cam_plus_plus(values, grads)[:, 0]


BASES: Mapping[str, _Base] = {
    "norm-grad": _Base(partial(reduce_norm_grad, phase="conv1x1", aggregate="norm"), relu=False),
    "norm-grad-selective": _Base(
        partial(reduce_norm_grad, phase="scaling", aggregate="filter-norm"), relu=False
    ),
    "grad-cam": _Base(reduce.grad_cam, relu=True),
    "grad-cam++": _Base(_take_plus_plus, relu=True),
    "hires-cam": _Base(reduce.hires_cam, relu=True),
    "linear-approx": _Base(reduce.hires_cam, relu=False),
    "xgrad-cam": _Base(reduce.xgrad_cam, relu=True),
    "layer-cam": _Base(reduce.layer_cam, relu=True),
    "grad-cam-elementwise": _Base(reduce.grad_cam_elementwise, relu=False),
    "eigen-cam": _Base(reduce.eigen_cam, relu=False),
}


@dataclass(frozen=True)
class Combined(Parametrised):
    """Maps of several layers, averaged.

    Each map is enlarged to the image and brought to [0, 1]; the heatmap is their weighted mean,
    arithmetic or geometric [1]_. All layers come from one run of the model.

    Parameters
    ----------
    base : str
        The method that makes a map of each layer, at its defaults. ``norm-grad-selective`` is
        NormGrad with ``phase=scaling`` and ``aggregate=filter-norm``.
    layers : str
        Where it looks: ``stages``, or a glob over names of tensors.
    how : {'product', 'sum'}
        The geometric mean, high only where all layers are, or the arithmetic one.
    weights : str, or tuple of float
        ``uniform``; ``linear``, which rises from layer to layer; a number per layer, from the
        first to the last, such as ``0.2/0.3/0.5`` (commas do, too, but end a parameter behind a
        name); or weights that the authors publish:
        ``activation-vgg16``, ``activation-resnet50``, ``activation-in-vgg16``,
        ``activation-in-resnet50``, ``accuracy-vgg16``, ``accuracy-resnet50``. Their sum is
        brought to 1.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layers of that name, which the classifier finds.

    Notes
    -----
    Bringing a map to [0, 1] makes it 0 somewhere, and there the product is 0 too. A constant map
    becomes 0 everywhere; its weight still counts, and ``constant_layers`` in the record names
    it. The authors weigh layers by their accuracy in the pointing game on labelled photos, which
    `onnxplain.weigh_layers` and ``onnxplain layers MODEL --weigh PHOTOS`` measure.
    """

    name: ClassVar[str] = "combined"
    no_formula: ClassVar[str] = "it brings the map of each layer to [0, 1] before it joins them"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    base: Annotated[Base, Param("the method that makes a map of each layer")] = "norm-grad"
    layers: Annotated[str, Param("the layers: stages, or a glob over names of tensors")] = "stages"
    how: Annotated[
        Literal["product", "sum"], Param("a geometric or an arithmetic weighted mean")
    ] = "product"
    weights: Annotated[
        str, Param("uniform, linear, the name of published weights, or a number per layer: 1/2/2")
    ] = "uniform"
    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    found: tuple[Layer, ...] = field(default=(), repr=False, kw_only=True)

    def __post_init__(self) -> None:
        """Check the weights; numbers may be given as a tuple."""
        given: Any = to_plain(self.weights)
        if isinstance(given, tuple):
            object.__setattr__(self, "weights", ",".join(f"{number!r}" for number in given))
        super().__post_init__()
        _read_weights(self.weights, None, name_owner(self))

    @property
    def layer(self) -> str:
        """The name of the layers."""
        return self.layers

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(self.found, gradients=self.base != "eigen-cam", score=self.score)

    def at(self, layers: tuple[Layer, ...]) -> Combined:
        """Return the method with its layers found.

        Raises
        ------
        ValueError
            If there is not one weight per layer, or a layer has no grid.
        """
        flat = [layer.tensor for layer in layers if min(layer.grid) < 2]
        if flat:
            raise ValueError(f"{self.name}: layer {flat[0]!r} has one position; choose others")
        _read_weights(self.weights, layers, self.name)
        return replace(self, found=layers)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        make_map, relu = BASES[self.base]
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=make_map)
        scaled, constant = [], []
        for layer, (signed,) in zip(self.found, reply.layers, strict=True):
            shown = np.maximum(signed, 0) if relu else signed
            scaled.append(_scale(reduce.enlarge(shown, case.size)))
            if not np.ptp(shown):
                constant.append(layer.tensor)
        weights = _read_weights(self.weights, self.found, self.name)
        joined = JOINS[self.how](np.stack(scaled), weights)
        details = {
            **describe_inside(self.wants, reply),
            "weights": weights.tolist(),
            "constant_layers": constant,
            "empty": not joined.any(),
        }
        if details["empty"]:
            log.warning(
                "%s: the map is empty: those of %s are the same everywhere; try other layers%s",
                *(case.name, ", ".join(constant) or "no layer"),
                " or how=sum" if self.how == "product" else "",
            )
        return Attribution(joined.astype(np.float32), details=details, meaning=MEANING)


def _read_weights(text: str, layers: tuple[Layer, ...] | None, owner: str) -> Wide:
    """Return a weight per layer, of sum 1; without layers, only check the text."""
    n = 1 if layers is None else len(layers)
    if text in ("uniform", "linear"):
        rising = np.linspace(0, 1, n + 1)[1:]
        numbers = np.ones(n) if text == "uniform" else rising
    elif text in PUBLISHED:
        numbers = np.array(PUBLISHED[text])
    else:
        numbers = _parse_numbers(text, owner)
    if layers is not None and len(numbers) != n:
        listed = ", ".join(layer.tensor for layer in layers[:5])
        raise ValueError(
            f"{owner}: weights={text} are {len(numbers)} numbers, and the layers are {n}: "
            f"{listed}{', ...' if n > 5 else ''}; give one number per layer, or uniform"
        )
    weights: Wide = numbers / numbers.sum()
    return weights


def _parse_numbers(text: str, owner: str) -> Wide:
    try:
        numbers = np.array([float(part) for part in text.replace("/", ",").split(",")])
    except ValueError:
        numbers = np.array([])
    if not (len(numbers) and np.isfinite(numbers).all() and (numbers >= 0).all() and numbers.any()):
        raise ValueError(
            f"{owner}: weights are uniform, linear, {', '.join(PUBLISHED)}, or a number from 0 on "
            f"per layer, not all 0, such as 1/2/2; got {text!r}; onnxplain layers MODEL --weigh "
            f"PHOTOS learns them from labelled photos"
        )
    return numbers


def _scale(heatmap: NDArray[np.float32]) -> Wide:
    """Bring a map to [0, 1]; a constant one becomes 0."""
    wide = heatmap.astype(np.float64)
    span = np.ptp(wide)
    return (wide - wide.min()) / span if span > 0 else np.zeros_like(wide)


def _join_by_sum(maps: Wide, weights: Wide) -> Wide:
    joined: Wide = np.tensordot(weights, maps, 1)
    return joined


def _join_by_product(maps: Wide, weights: Wide) -> Wide:
    joined: Wide = np.prod(maps ** weights[:, None, None], axis=0)
    return joined


JOINS: Mapping[str, Callable[[Wide, Wide], Wide]] = {
    "sum": _join_by_sum,
    "product": _join_by_product,
}
