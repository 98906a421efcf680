"""The values that pass between the layers, and their conventions.

Images are float32 RGB in [0, 1]; masks are float32 in [0, 1] where **1 removes** and 0
keeps, ``x_bar = x * (1 - m) + f * m`` [1]_ (eq. 1); heatmaps are float32, larger values
meaning more evidence for the target. Sizes are ``(rows, columns)``.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, :arXiv:`1910.04256`
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.mistakes import describe_unknown

F = TypeVar("F", np.float32, np.float64)
Image: TypeAlias = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
Images: TypeAlias = NDArray[np.float32]  # (N, H, W, 3)
Mask: TypeAlias = NDArray[np.float32]  # (N, H, W) in [0, 1]; 1 removes
Heatmap: TypeAlias = NDArray[np.float32]  # (H, W)
Scores: TypeAlias = NDArray[np.float32]  # (N, K), the raw outputs of the model
Size: TypeAlias = tuple[int, int]  # (rows, columns)
# The classes exclude each other; with `multilabel-`, each is a label that an image has or has not.
Outputs: TypeAlias = Literal[
    "logits", "probabilities", "multilabel-logits", "multilabel-probabilities"
]
ScoreKind: TypeAlias = Literal["probability", "log-odds", "logit", "raw", "contrast"]
Fit: TypeAlias = Literal["crop", "stretch", "pad", "keep"]
Interpolation: TypeAlias = Literal["bilinear", "bicubic", "nearest", "area", "hamming", "lanczos"]
Centre: TypeAlias = Literal["round", "floor"]
RGB: TypeAlias = tuple[float, float, float]
Bytes3: TypeAlias = tuple[int, int, int]  # red, green and blue in whole numbers from 0 to 255

IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue in grey


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows ``top`` to ``bottom``, columns ``left`` to ``right``.

    The end is exclusive: the pixels inside are ``image[top:bottom, left:right]``.
    """

    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo is brought to the size of the classifier: resized, then cut to its centre.

    Both steps are in whole pixels, and photos of 8 bits stay in 8 bits, as in torchvision,
    timm and Hugging Face. ``Preprocessing("crop", (256, 256))`` is torchvision's
    ``Resize(256)``, ``Preprocessing("stretch", (256, 256))`` its ``Resize((256, 256))``, each
    followed by a ``CenterCrop`` to the classifier's size.

    Parameters
    ----------
    fit : {'crop', 'stretch', 'pad', 'keep'}
        How the photo is resized: its shape kept, so that it just covers `resize`; squeezed
        to it; its shape kept, so that it just fits into `resize`; or not at all.
    resize : (rows, columns), optional
        The size that the photo covers, takes or fits into; the classifier's if not given.
    interpolation : {'bilinear', 'bicubic', 'nearest', 'area', 'hamming', 'lanczos'}
        How pixels are resampled: the filters of Pillow, which calls ``'area'`` box.
    border : (red, green, blue), from 0 to 255
        Colour of the borders where the resized photo is smaller than the classifier's size.
    centre : {'round', 'floor'}
        Where the cut begins if half a pixel would be the middle: at the even neighbour, as in
        torchvision and timm, or at the lower one, as in Hugging Face.

    Raises
    ------
    ValueError
        If a field has none of these values.
    """

    fit: Fit = "crop"
    resize: Size | None = None
    interpolation: Interpolation = "bilinear"
    border: Bytes3 = (0, 0, 0)
    centre: Centre = "round"

    def __post_init__(self) -> None:
        """Check what authors of classifiers write, before it becomes wrong pixels."""
        for name, choices in (("fit", Fit), ("interpolation", Interpolation), ("centre", Centre)):
            value = getattr(self, name)
            if value not in get_args(choices):
                unknown = describe_unknown(str(value), get_args(choices))
                raise ValueError(f"Preprocessing: {name} {unknown}")
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        whole = len(sides) == 2 and all(isinstance(n, int) and n > 0 for n in sides)
        if self.resize is not None and not whole:
            raise ValueError(
                f"Preprocessing: resize is (rows, columns) in whole pixels, got {self.resize!r}"
            )


@dataclass(frozen=True, eq=False)
class Case:
    """One question: why does the classifier give this image's target its score?

    Parameters
    ----------
    name : str
        Name of the image in results; together with the seed it decides every random draw.
    image : (H, W, 3) ndarray of float32 in [0, 1]
        The photo at the classifier's size.
    target : int
        Index of the class to explain.
    boxes : tuple of Box
        Where the object is, in pixels of `image`; used by some metrics.
    n_classes : int, optional
        Number of classes of the classifier, K.
    multilabel : bool
        Whether the classes are independent labels, of which an image may have several.
    """

    name: str
    image: Image
    target: int
    boxes: tuple[Box, ...] = ()
    n_classes: int | None = None
    multilabel: bool = False

    @property
    def chance(self) -> float | None:
        """Chance level of the target's probability; None if the number of classes is not known.

        It is 1 / K, and one half for an independent label, whatever the number of labels: there
        the label is as likely as its absence.
        """
        if self.multilabel:
            return 0.5
        return None if self.n_classes is None else 1 / self.n_classes

    @property
    def size(self) -> Size:
        """Rows and columns of the image."""
        rows, columns, _ = self.image.shape
        return rows, columns


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a heatmap are, for whoever looks at it.

    Parameters
    ----------
    text : str
        The number at a pixel, in words: "probability lost when the patch there is removed".
    is_score : bool
        Whether the numbers are probabilities of the target or their differences.
    noise : float
        Standard error of the numbers, as the method knows it; 0 if it draws nothing.
    """

    text: str = ""
    is_score: bool = False
    noise: float = 0.0


NO_MEANING = Meaning()


@dataclass(frozen=True, slots=True)
class Kernel:
    """Which values of its input each position of a convolution reads, in rows and columns.

    Parameters
    ----------
    sides, strides, dilations : (rows, columns)
    before : (rows, columns)
        Zeros in front of the input.
    groups : int
        Number of groups of channels that do not see each other.
    """

    sides: Size
    strides: Size = (1, 1)
    dilations: Size = (1, 1)
    before: Size = (0, 0)
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a transformer that attend to each other, one by one in order.

    Parameters
    ----------
    grid : (rows, columns)
        Of patches, the last tokens.
    prefix : int
        Number of tokens in front of them, such as a class token and registers.
    read : (start, stop)
        The tokens whose outputs the scores are made of: (0, 1) for a class token.
    """

    grid: Size
    prefix: int
    read: tuple[int, int]

    def begin(self, n_tokens: int) -> NDArray[np.float64]:
        """Return how much the scores read of the output of each token, (1, 1, 1, T).

        It is all of a class token, or the same share of each token of a mean.
        """
        start, stop = self.read
        read = np.zeros((1, 1, 1, n_tokens))
        read[..., start:stop] = 1 / (stop - start)
        return read


@dataclass(frozen=True, slots=True)
class Layer:
    """A tensor inside a classifier that has values for a grid of positions.

    Parameters
    ----------
    tensor : str
        Its name in the model's file.
    axes : str
        A letter per axis: N images, C channels, H and W rows and columns, T tokens, B for the
        channels of one image after another. Without H, W and T there is one position.
    channels : int
        Number of values per position.
    grid : (rows, columns)
        Number of positions.
    prefix : int
        Number of tokens in front of those of the grid, such as a class token.
    is_cut : bool
        Whether the scores depend on the image through this tensor alone.
    note : str
        Why it was chosen, where that is not obvious.
    kernel : Kernel, optional
        Of the convolution that makes it, if the layer was asked for as one's output.
    bias : ndarray, optional
        What is added there whatever the image, (C, h, w) or (C, 1, 1), if the layer was asked for
        as one with a bias.
    tokens : Tokens, optional
        What attends to each other, if the layer was asked for as attention: its channels are
        heads, its rows the tokens that read, and its columns those that are read.
    """

    tensor: str
    axes: str
    channels: int
    grid: Size
    prefix: int = 0
    is_cut: bool = True
    note: str = field(default="", compare=False)
    kernel: Kernel | None = field(default=None, compare=False)
    bias: NDArray[Any] | None = field(default=None, compare=False, repr=False)
    tokens: Tokens | None = field(default=None, compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        return self.channels, *self.grid

    def arrange(self, values: NDArray[F]) -> NDArray[F]:
        """Bring values of this tensor, or gradients by it, into the order (N, C, rows, columns)."""
        if self.axes == "NC":
            return values[:, :, None, None]
        axes = self.axes
        if axes[0] == "B":
            axes = f"NC{axes[1:]}"
            values = values.reshape(-1, self.channels, *values.shape[1:])
        order = "NCT" if "T" in axes else "NCHW"
        moved = values.transpose([axes.index(axis) for axis in order])
        if "T" in self.axes:
            moved = moved[:, :, self.prefix :].reshape(len(moved), *self.shape)
        return moved

    def restore(self, arranged: NDArray[F]) -> NDArray[F]:
        """Bring values (N, C, rows, columns) back into the order of this tensor.

        Raises
        ------
        ValueError
            If the tensor has tokens besides those of the grid.
        """
        if self.prefix:
            raise ValueError(f"{self.tensor} has {self.prefix} tokens besides those of its grid")
        if "T" in self.axes:
            arranged = arranged.reshape(*arranged.shape[:2], -1)
        order = "NCT" if "T" in self.axes else "NCHW"
        return np.ascontiguousarray(arranged.transpose([order.index(axis) for axis in self.axes]))


@dataclass(frozen=True, eq=False)
class Attribution:
    """The result of a method for one case.

    Parameters
    ----------
    heatmap : (H, W) ndarray of float32
        At the size of the case's image; larger = more evidence for the target.
    coarse : ndarray, optional
        The map before it was enlarged to the image: (rows, columns) of patches or cells,
        or one value per segment.
    order : ndarray of int, optional
        Cells in the order in which the method removed them.
    details : mapping
        Further facts about the run, as values that JSON can hold.
    meaning : Meaning
        What the numbers are; pictures say it below their colours.
    """

    heatmap: Heatmap
    coarse: NDArray[np.float32] | None = None
    order: NDArray[np.intp] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    meaning: Meaning = NO_MEANING


def make_rng(seed: int, *names: str) -> np.random.Generator:
    """Make a random generator that depends on the seed and the names, and on nothing else.

    Draws therefore do not depend on order, batch size, sharding or on what else runs.

    Examples
    --------
    >>> float(make_rng(0, "cat", "rise").random()) == float(make_rng(0, "cat", "rise").random())
    True
    """
    # File names may hold bytes that are not valid text.
    words = (zlib.crc32(name.encode(errors="surrogateescape")) for name in names)
    return np.random.default_rng([seed, *words])
