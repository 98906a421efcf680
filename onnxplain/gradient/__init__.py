"""Gradients of ONNX classifiers as ONNX graphs of standard operators alone.

A graph is differentiated by walking it backwards with one rule per operator. The result runs
wherever the model does, without a framework or a training build of a runtime.
"""

from onnxplain.gradient.backward import differentiate, gradient_name
from onnxplain.gradient.blame import find_nonfinite_node
from onnxplain.gradient.build import GradientRequest, build_gradient
from onnxplain.gradient.check import GradientCheck, check_gradient
from onnxplain.gradient.facts import Facts, Measure, Shape, measure_facts
from onnxplain.gradient.heads import SCORE, TARGET
from onnxplain.gradient.masked import FILL, MASK, CoarseMask
from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import GradientError, Refusal
from onnxplain.gradient.rules import RULES, RULES_GROUP, load_installed_rules
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule

__all__ = [
    "FILL",
    "MASK",
    "RULES",
    "RULES_GROUP",
    "SCORE",
    "TARGET",
    "CoarseMask",
    "Facts",
    "GradientCheck",
    "GradientError",
    "GradientRequest",
    "Grads",
    "Measure",
    "Node",
    "Refusal",
    "Rule",
    "Shape",
    "Tape",
    "build_gradient",
    "check_gradient",
    "differentiate",
    "find_nonfinite_node",
    "first_output_rule",
    "gradient_name",
    "load_installed_rules",
    "measure_facts",
]
