"""Explanation methods, one paper per file, in folders by what they ask of the model."""

from onnxplain.methods.attention.attn_lrp import AttnLRP
from onnxplain.methods.attention.cp_lrp import CPLRP
from onnxplain.methods.attention.generic_attention import GenericAttention
from onnxplain.methods.attention.rollout import AttentionRollout
from onnxplain.methods.attention.transformer_attribution import TransformerAttribution
from onnxplain.methods.gradients.deconvnet import DeconvNet
from onnxplain.methods.gradients.gradient import Gradient
from onnxplain.methods.gradients.guided_backprop import GuidedBackprop
from onnxplain.methods.gradients.ig import IntegratedGradients
from onnxplain.methods.gradients.input_x_gradient import InputXGradient
from onnxplain.methods.gradients.smoothgrad import SmoothGrad
from onnxplain.methods.layers.ablation_cam import AblationCAM
from onnxplain.methods.layers.cams import (
    GradCAM,
    GradCAMElementwise,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    LinearApprox,
    XGradCAM,
)
from onnxplain.methods.layers.combined import Combined
from onnxplain.methods.layers.eigen_cam import EigenCAM
from onnxplain.methods.layers.full_grad import FullGrad
from onnxplain.methods.layers.guided_grad_cam import GuidedGradCAM
from onnxplain.methods.layers.norm_grad import NormGrad
from onnxplain.methods.layers.score_cam import ScoreCAM
from onnxplain.methods.masks.fido import FIDO
from onnxplain.methods.masks.mp import MP
from onnxplain.methods.masks.mp2.mp2 import MP2
from onnxplain.methods.relevance.deep_taylor import DeepTaylor
from onnxplain.methods.relevance.excitation import MWP, ContrastiveMWP
from onnxplain.methods.relevance.lrp import LRP
from onnxplain.methods.relevance.meta_saliency import MetaSaliency
from onnxplain.methods.relevance.patterns import PatternAttribution, PatternNet
from onnxplain.methods.scores.banzhaf import Banzhaf
from onnxplain.methods.scores.kernel_shap import KernelSHAP
from onnxplain.methods.scores.lime import LIME
from onnxplain.methods.scores.rise import RISE
from onnxplain.methods.scores.sp import SP

__all__ = [
    "CPLRP",
    "FIDO",
    "LIME",
    "LRP",
    "MP",
    "MP2",
    "MWP",
    "RISE",
    "SP",
    "AblationCAM",
    "AttentionRollout",
    "AttnLRP",
    "Banzhaf",
    "Combined",
    "ContrastiveMWP",
    "DeconvNet",
    "DeepTaylor",
    "EigenCAM",
    "FullGrad",
    "GenericAttention",
    "GradCAM",
    "GradCAMElementwise",
    "GradCAMPlusPlus",
    "Gradient",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "KernelSHAP",
    "LayerCAM",
    "LinearApprox",
    "MetaSaliency",
    "NormGrad",
    "PatternAttribution",
    "PatternNet",
    "ScoreCAM",
    "SmoothGrad",
    "TransformerAttribution",
    "XGradCAM",
]
