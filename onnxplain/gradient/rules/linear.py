"""Matrix products. Constant matrices are transposed in the graph and folded on loading."""

from __future__ import annotations

from collections.abc import Sequence

from onnxplain.gradient.facts import Shape
from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


def _swap_last_axes(tape: Tape, name: str, rank: int) -> str:
    return tape.transpose(name, [*range(rank - 2), rank - 1, rank - 2])


@first_output_rule
def matmul(tape: Tape, node: Node, g: str) -> Grads:
    """Write ``dA = G B'`` and ``dB = A' G``; a vector is a matrix of one row or column."""
    a, b = node.inputs
    shape_a, shape_b, shape_y = tape.shape(a), tape.shape(b), tape.shape(node.y)
    row, column = a, b
    if len(shape_b) == 1:
        shape_b, shape_y = (*shape_b, 1), (*shape_y, 1)
        g, column = tape.unsqueeze(g, [-1]), tape.unsqueeze(b, [1])
    if len(shape_a) == 1:
        shape_a, shape_y = (1, *shape_a), (*shape_y[:-1], 1, shape_y[-1])
        g, row = tape.unsqueeze(g, [-2]), tape.unsqueeze(a, [0])
    grads: list[str | None] = [None, None]
    if tape.wants(a):
        product = tape.op("MatMul", g, _swap_last_axes(tape, column, len(shape_b)))
        grads[0] = _fit(tape, product, (*shape_y[:-1], shape_a[-1]), a)
    if tape.wants(b):
        product = tape.op("MatMul", _swap_last_axes(tape, row, len(shape_a)), g)
        grads[1] = _fit(tape, product, (*shape_y[:-2], shape_b[-2], shape_y[-1]), b)
    return grads


def _fit(tape: Tape, product: str, shape: Shape, name: str) -> str:
    """Sum a product of this shape down to the shape of an operand."""
    if len(tape.shape(name)) > 1:
        return tape.unbroadcast(product, shape, name)
    # A vector: sum over the stacks of matrices, then drop the row or column it was given.
    return tape.reshape_like(tape.sum(product, range(len(shape) - 2)), name)


@first_output_rule
def gemm(tape: Tape, node: Node, g: str) -> Grads:
    """Differentiate ``y = alpha A B + beta C``, with A and B transposed or not."""
    a, b, c = node.inputs[0], node.inputs[1], node.input(2)
    flip_a, flip_b = (node.attributes.get(key, 0) for key in ("transA", "transB"))
    alpha = node.attributes.get("alpha", 1.0)
    grads: list[str | None] = [None, None, None]
    if tape.wants(a):
        left, right, flips = (b, g, (flip_b, 1)) if flip_a else (g, b, (0, 1 - flip_b))
        grads[0] = _multiply(tape, left, right, flips, alpha)
    if tape.wants(b):
        left, right, flips = (g, a, (1, flip_a)) if flip_b else (a, g, (1 - flip_a, 0))
        grads[1] = _multiply(tape, left, right, flips, alpha)
    if c and tape.wants(c):
        scaled = tape.scale(g, node.attributes.get("beta", 1.0))
        grads[2] = tape.unbroadcast(scaled, tape.shape(node.y), c)
    return grads


def _multiply(tape: Tape, a: str, b: str, flips: tuple[int, int], alpha: float) -> str:
    return tape.op("Gemm", a, b, transA=flips[0], transB=flips[1], alpha=alpha)


@first_output_rule
def einsum(tape: Tape, node: Node, g: str) -> Grads:
    """Write an operand's gradient as an Einsum of the others with the output's gradient."""
    equation = node.attributes["equation"].replace(" ", "")
    if "->" not in equation or "..." in equation:
        raise Refusal(f"its equation {equation!r} has no output term, or an ellipsis")
    left, out = equation.split("->")
    terms = left.split(",")
    if any(len(set(term)) < len(term) for term in terms):
        raise Refusal(f"its equation {equation!r} takes a diagonal")
    grads: list[str | None] = []
    for index, (term, name) in enumerate(zip(terms, node.inputs, strict=True)):
        if not tape.wants(name):
            grads.append(None)
            continue
        other_terms = [out, *terms[:index], *terms[index + 1 :]]
        if not set(term) <= set("".join(other_terms)):
            raise Refusal(f"its equation {equation!r} sums an index that only one operand has")
        others = [*node.inputs[:index], *node.inputs[index + 1 :]]
        sizes = _read_index_sizes(tape, other_terms, [node.y, *others])
        shape = tuple(sizes[letter] for letter in term)
        if any(size == 1 and own != 1 for size, own in zip(shape, tape.shape(name), strict=True)):
            raise Refusal(f"its equation {equation!r} repeats an index along which it sums")
        product = tape.op("Einsum", g, *others, equation=f"{','.join(other_terms)}->{term}")
        grads.append(tape.unbroadcast(product, shape, name))
    return grads


def _read_index_sizes(
    tape: Tape, terms: Sequence[str], names: Sequence[str]
) -> dict[str, int | None]:
    """Return the size of each index; an operand of size 1 is repeated along it."""
    sizes: dict[str, int | None] = {}
    for term, name in zip(terms, names, strict=True):
        for index, size in zip(term, tape.shape(name), strict=True):
            if sizes.get(index, 1) == 1:
                sizes[index] = size
    return sizes


RULES: dict[str, Rule] = {"Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
