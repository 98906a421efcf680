"""Explanation methods, one paper per file, in folders by what they ask of the model."""

from onnxplain.methods.gradients.deconvnet import DeconvNet
from onnxplain.methods.gradients.gradient import Gradient
from onnxplain.methods.gradients.guided_backprop import GuidedBackprop
from onnxplain.methods.gradients.ig import IntegratedGradients
from onnxplain.methods.gradients.input_x_gradient import InputXGradient
from onnxplain.methods.gradients.smoothgrad import SmoothGrad
from onnxplain.methods.layers.cams import (
    GradCAM,
    GradCAMElementwise,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    LinearApprox,
    XGradCAM,
)
from onnxplain.methods.masks.fido import FIDO
from onnxplain.methods.masks.mp import MP
from onnxplain.methods.masks.mp2.mp2 import MP2
from onnxplain.methods.scores.lime import LIME
from onnxplain.methods.scores.rise import RISE
from onnxplain.methods.scores.sp import SP

__all__ = [
    "FIDO",
    "LIME",
    "MP",
    "MP2",
    "RISE",
    "SP",
    "DeconvNet",
    "GradCAM",
    "GradCAMElementwise",
    "GradCAMPlusPlus",
    "Gradient",
    "GuidedBackprop",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LayerCAM",
    "LinearApprox",
    "SmoothGrad",
    "XGradCAM",
]
