"""Gradients of ONNX classifiers as ONNX graphs, of standard operators alone.

A graph is differentiated by walking it backwards with one rule for each operator. The
result runs wherever the model does: no framework, no training build of a runtime.
"""

from onnxplain.gradient.blame import first_not_finite
from onnxplain.gradient.build import Wish, build_gradient, differentiate, gradient_name
from onnxplain.gradient.check import GradientCheck, check_gradient
from onnxplain.gradient.facts import Facts, Measure, Shape, measure_facts
from onnxplain.gradient.heads import SCORE, TARGET
from onnxplain.gradient.masked import FILL, MASK, CoarseMask
from onnxplain.gradient.refusal import GradientError, Refusal
from onnxplain.gradient.rules import GROUP, RULES, installed_rules
from onnxplain.gradient.tape import Grads, Node, Rule, Tape, single

__all__ = [
    "FILL",
    "GROUP",
    "MASK",
    "RULES",
    "SCORE",
    "TARGET",
    "CoarseMask",
    "Facts",
    "GradientCheck",
    "GradientError",
    "Grads",
    "Measure",
    "Node",
    "Refusal",
    "Rule",
    "Shape",
    "Tape",
    "Wish",
    "build_gradient",
    "check_gradient",
    "differentiate",
    "first_not_finite",
    "gradient_name",
    "installed_rules",
    "measure_facts",
    "single",
]
