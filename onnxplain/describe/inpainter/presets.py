"""The conventions of published inpainters, by name.

A preset holds what the authors' programs do around the graph. What differs between files of
one model (size, batch) is left to the graph and its behaviour.

References
----------
.. [1] Yu et al., Generative image inpainting with contextual attention, CVPR 2018,
   :arXiv:`1801.07892`
.. [2] Yu et al., Free-form image inpainting with gated convolution, ICCV 2019,
   :arXiv:`1806.03589`
.. [3] Suvorov et al., Resolution-robust large mask inpainting with Fourier convolutions,
   WACV 2022, :arXiv:`2109.07161`
.. [4] Sargsyan et al., MI-GAN: a simple baseline for image inpainting on mobile devices,
   ICCV 2023
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Image and mask side by side, bytes of BGR. Some exports reverse the channels of the answer
# and some do not; the known pixels show which.
_SERVER: Mapping[str, Any] = {
    "pack": "width",
    "layout": "nhwc",
    "colour": "bgr",
    "range": (0.0, 255.0),
    "hole": 255.0,
    "known": 0.0,
    "output_range": (0.0, 255.0),
}
_SIGNED: Mapping[str, Any] = {
    "range": (-1.0, 1.0),
    "premultiply": True,
    "output_range": (-1.0, 1.0),
}

INPAINTER_PRESETS: Mapping[str, Mapping[str, Any]] = {
    # A float32 image in [0, 1], a mask with 1 in holes, the answer in [0, 1].
    "plain": {
        "pack": "separate",
        "colour": "rgb",
        "range": (0.0, 1.0),
        "hole": 1.0,
        "known": 0.0,
        "output_colour": "rgb",
        "output_range": (0.0, 1.0),
    },
    "deepfill-v1": _SERVER,
    # The same graph; it uses the first mask for every image of a batch.
    "deepfill-v2": {**_SERVER, "batch": 1},
    "deepfill-v1-network": {
        **_SIGNED,
        "pack": "channels",
        "channels": "image,ones,mask",
        "layout": "nhwc",
        "colour": "bgr",
        "hole": 1.0,
        "known": 0.0,
    },
    # daa233's port to PyTorch: its outputs are coarse, fine and flow, and the first mask counts.
    "deepfill-v1-torch": {
        **_SIGNED,
        "pack": "separate",
        "colour": "rgb",
        "hole": 1.0,
        "known": 0.0,
        "batch": 1,
        "output": "1",
        "output_colour": "rgb",
    },
    # Carve's export; the answer of the original lies in [0, 1].
    "lama": {
        "pack": "separate",
        "colour": "rgb",
        "range": (0.0, 1.0),
        "hole": 1.0,
        "known": 0.0,
        "output_colour": "rgb",
        "output_range": (0.0, 255.0),
    },
    "opencv-lama": {
        "pack": "separate",
        "colour": "bgr",
        "range": (0.0, 1.0),
        "hole": 1.0,
        "known": 0.0,
        "output_colour": "bgr",
        "output_range": (0.0, 255.0),
    },
    # The pipeline squeezes the batch away.
    "migan": {
        "pack": "separate",
        "colour": "rgb",
        "range": (0.0, 255.0),
        "hole": 0.0,
        "known": 255.0,
        "batch": 1,
        "output_colour": "rgb",
        "output_range": (0.0, 255.0),
    },
    # Takes a mask of 1 where the image is known and 0 in holes, minus one half.
    "migan-generator": {
        **_SIGNED,
        "pack": "channels",
        "channels": "mask,image",
        "colour": "rgb",
        "hole": -0.5,
        "known": 0.5,
        "output_colour": "rgb",
    },
}
