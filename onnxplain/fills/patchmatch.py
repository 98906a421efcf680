"""Inpainting by example: holes are filled with patches of the rest of the photo.

References
----------
.. [1] Barnes, Shechtman, Finkelstein & Goldman, PatchMatch: A randomized correspondence algorithm
   for structural image editing, ACM Trans. Graphics 28(3), 2009, doi:10.1145/1531326.1531330
.. [2] Wexler, Shechtman & Irani, Space-time completion of video, IEEE TPAMI 29(3), 2007,
   doi:10.1109/TPAMI.2007.60
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.errors import LibraryMissing
from onnxplain.core.params import Param, Parametrised
from onnxplain.fills.classic import fill_each_hole

# The library keeps one seed for the whole process.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class PatchMatch(Parametrised):
    """Patches of the rest of the photo, joined so that they agree where they overlap [1]_, [2]_.

    Sand, water, grass and asphalt go on so that one has to look for the hole. It is meant for
    photos with textures, and for holes that are not most of the photo.

    Parameters
    ----------
    radius : int
        Patches have ``2 * radius + 1`` pixels a side. Larger ones continue larger structures and
        take longer, by the square.

    Notes
    -----
    It needs the package pypatchmatch (``pip install 'onnxplain[patchmatch]'``). One hole is
    filled at a time, whatever the number of workers, in 0.1 to 1 second at 224 x 224 pixels and
    the usual radius. So it suits ``sp`` with ``share`` and ``mp2``, and takes a quarter of an hour
    per photo for ``lime`` with 1000 samples. Filled pixels have 8 bits per channel. Pixels with a
    mask of 0.5 or more are holes; what was in them does not matter. What is left of an object
    is copied into its hole, as all of the photo is.

    Raises
    ------
    LibraryMissing
        If pypatchmatch is not installed.
    """

    name: ClassVar[str] = "patchmatch"
    radius: Annotated[
        int, Param("half the side of a patch in pixels; larger ones are slower", ge=1, le=50)
    ] = 5

    def __post_init__(self) -> None:
        """Check the parameters, and that the library is there before anything runs."""
        super().__post_init__()
        if find_spec("patchmatch") is None:
            raise LibraryMissing(
                "the fill patchmatch needs the package pypatchmatch; pip install "
                "'onnxplain[patchmatch]', or take the fill inpaint or navier-stokes"
            )

    def prepare(self, image: Image, rng: np.random.Generator) -> Callable[[Mask], Images]:
        """Return the function that fills the holes of masks (N, H, W): pictures (N, H, W, 3)."""
        photo = np.round(image * 255).astype(np.uint8)
        # All holes of a photo start from one seed, so that batches do not matter.
        seed = int(rng.integers(2**32))
        return fill_each_hole(image, lambda hole: _copy_patches(photo, hole, self.radius, seed))


def _copy_patches(
    photo: NDArray[np.uint8], hole: NDArray[np.bool_], radius: int, seed: int
) -> Image:
    import patchmatch  # loads a library of its own, and is rarely needed

    if not patchmatch.patchmatch_available:
        raise LibraryMissing(
            "the fill patchmatch: the package pypatchmatch has no library for this platform; "
            "reinstall it with a C++ compiler, CMake and OpenCV, or take the fill inpaint"
        )
    with _ONE_AT_A_TIME:
        patchmatch.set_random_seed(seed)
        filled = patchmatch.inpaint(photo, hole, patch_size=radius)
    picture: Image = filled.astype(np.float32) / np.float32(255)
    return picture
