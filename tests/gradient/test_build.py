"""Whole networks: heads, named tensors, rule sets, sizes, and what cannot be differentiated."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxplain.core.data import ScoreKind
from onnxplain.core.scores import compute_target_scores
from onnxplain.core.spec import Head
from onnxplain.gradient import (
    RULES,
    RULES_GROUP,
    SCORE,
    GradientError,
    GradientRequest,
    Grads,
    Node,
    Tape,
    build_gradient,
    check_gradient,
    differentiate,
    find_nonfinite_node,
    first_output_rule,
    gradient_name,
    load_installed_rules,
    measure_facts,
)
from onnxplain.gradient.prepare import store_as_halves
from onnxplain.graph.names import collect_tensor_names
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradients import (
    Array,
    Plain,
    Reference,
    evaluate,
    ints,
    make_model,
    normal,
)

CLASSES = 4
DX = gradient_name("x")


def network(end: str = "", dtype: type = np.float32, opset: int = 18) -> ModelProto:
    """A small one with a residual branch, a gate for each channel and pooling; smooth."""
    node, rng = helper.make_node, np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(6, 3, 3, 3)) / 4,
        "w2": rng.normal(size=(6, 1, 3, 3)) / 2,
        "w3": rng.normal(size=(6, 6, 1, 1)) / 2,
        "w4": rng.normal(size=(6, CLASSES)),
    }
    nodes = [
        node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Tanh", ["a"], ["b"]),
        node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1], group=6),
        node("GlobalAveragePool", ["c"], ["d"]),
        node("Conv", ["d", "w3"], ["e"]),
        node("Sigmoid", ["e"], ["gate"]),
        node("Mul", ["c", "gate"], ["f"]),
        node("Add", ["f", "b"], ["sum"], name="residual"),
        node("Softplus", ["sum"], ["soft"]),
        node("GlobalAveragePool", ["soft"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "w4"], ["z" if end else "y"]),
    ]
    if end:
        nodes.append(node(end, ["z"], ["y"]))
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", code, ["N", 3, 9, 10])],
        [helper.make_tensor_value_info("y", code, ["N", CLASSES])],
        [numpy_helper.from_array(v.astype(dtype), k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def images(n: int, dtype: type = np.float32) -> Array:
    return normal(n, 3, 9, 10).astype(dtype)


def build(model: ModelProto, wish: GradientRequest, **options: Any) -> ModelProto:
    examples = [{"x": images(n)} for n in (2, 3)]
    return build_gradient(model, wish, RuntimeMeasure(), examples, **options)


def run(model: ModelProto, x: Array, targets: list[int]) -> dict[str, Array]:
    return Plain().run(model.SerializeToString(), {"x": x, "target": ints(*targets)})


@pytest.mark.parametrize("kind", ["probability", "logit", "log-odds"])
@pytest.mark.parametrize(
    ("end", "head"),
    [("", "logits"), ("Softmax", "probabilities"), ("Sigmoid", "probabilities")],
)
def test_every_score_is_that_of_scores_and_its_gradient_that_of_differences(
    kind: ScoreKind, end: str, head: Head
) -> None:
    """In float64; the third model ends in probabilities that no softmax made."""
    model, x = network(end, np.float64), images(3, np.float64)
    targets = [0, 2, 3]
    wish = GradientRequest("x", "y", head=head, kind=kind)
    examples = [{"x": x[:2]}, {"x": x}]
    built = build_gradient(model, wish, Reference(), examples)
    found = Reference().run(built.SerializeToString(), {"x": x, "target": ints(*targets)})

    evaluator = evaluate(model)

    def score(images: Array) -> NDArray[np.float64]:
        (raw,) = evaluator.run(None, {"x": images})
        rows = zip(raw, targets, strict=True)
        return np.array(
            [compute_target_scores(r[None], t, outputs=head, kind=kind)[0] for r, t in rows]
        )

    np.testing.assert_allclose(found[SCORE], score(x), rtol=1e-9)
    for place in np.random.default_rng(1).permutation(270)[:12]:
        step = np.zeros(270)
        step[place] = 1e-5
        change = step.reshape(3, 9, 10)
        slope = (score(x + change) - score(x - change)) / 2e-5
        np.testing.assert_allclose(found[DX].reshape(3, -1)[:, place], slope, atol=1e-8)


def test_a_model_of_one_probability_scores_both_classes() -> None:
    model = network("Sigmoid")
    model.graph.output.append(onnx.ValueInfoProto(name="one"))
    constants = {"start": ints(1), "stop": ints(2), "axis": ints(1)}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    model.graph.node.append(helper.make_node("Slice", ["y", *constants], ["one"]))
    x = images(2)
    p = run_plain(model, x)["one"][:, 0]
    wish = GradientRequest("x", "one", head="sigmoid", kind="probability")
    found = run(build(model, wish), x, [0, 1])
    np.testing.assert_allclose(found[SCORE], [1 - p[0], p[1]], rtol=1e-5)
    other = run(build(model, wish), x, [1, 0])
    np.testing.assert_allclose(found[DX], -other[DX], rtol=1e-5)


def run_plain(model: ModelProto, x: Array) -> dict[str, Array]:
    return Plain().run(model.SerializeToString(), {"x": x})


def test_logits_behind_a_softmax_keep_the_slope_where_the_probability_is_saturated() -> None:
    model = network("Softmax")
    for stored in model.graph.initializer:
        if stored.name == "w4":
            sharp = numpy_helper.to_array(stored) * 300
            stored.CopyFrom(numpy_helper.from_array(sharp, "w4"))
    x = images(2)
    target = int(run_plain(model, x)["y"][0].argmax())
    assert run_plain(model, x)["y"][0, target] == 1
    wish = GradientRequest("x", "y", head="probabilities", kind="log-odds")
    assert np.abs(run(build(model, wish), x, [target, target])[DX][0]).max() > 0.1


def test_rows_of_a_batch_do_not_touch_one_another() -> None:
    built = build(network(), GradientRequest("x", "y"))
    x, targets = images(5), [0, 3, 1, 2, 2]
    together = run(built, x, targets)[DX]
    alone = [run(built, x[k : k + 1], targets[k : k + 1])[DX] for k in range(5)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-7)


def test_a_model_of_fixed_batch_size() -> None:
    model = network()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.output[0].type.tensor_type.shape.dim[0]
    x = images(1)
    built = build_gradient(model, GradientRequest("x", "y"), RuntimeMeasure(), [{"x": x}])
    expected = run(build(network(), GradientRequest("x", "y")), x, [1])
    np.testing.assert_allclose(run(built, x, [1])[DX], expected[DX], atol=1e-7)


def test_inner_tensors_come_with_their_gradients() -> None:
    """The gradient of the features before the last matrix is known in closed form."""
    found = run(
        build(network(), GradientRequest("x", "y", kind="logit", tensors=("flat", "c"))),
        images(2),
        [1, 3],
    )
    weights = {t.name: numpy_helper.to_array(t) for t in network().graph.initializer}
    np.testing.assert_allclose(found[gradient_name("flat")], weights["w4"].T[[1, 3]], rtol=1e-6)
    assert found["c"].shape == found[gradient_name("c")].shape == (2, 6, 5, 5)


def test_only_what_is_asked_for_is_computed() -> None:
    """The gradient of a late tensor needs no convolution backwards."""
    model = network()
    examples = [{"x": images(n)} for n in (2, 3)]
    facts = measure_facts(model, Plain(), examples, np.dtype(np.float32))
    late = differentiate(model, facts, score="y", sources=("flat",))
    early = differentiate(model, facts, score="y", sources=("x",))
    assert count(late, "Conv") == 3
    assert count(early, "Conv") + count(early, "ConvTranspose") == 6


def count(model: ModelProto, operator: str) -> int:
    return sum(node.op_type == operator for node in model.graph.node)


def test_weights_are_shared_and_not_copied() -> None:
    model = network()
    built = build(model, GradientRequest("x", "y"))
    stored = sum(t.ByteSize() for t in model.graph.initializer)
    assert sum(t.ByteSize() for t in built.graph.initializer) < 1.3 * stored + 1000


def test_no_two_nodes_compute_the_same() -> None:
    built = build(network(), GradientRequest("x", "y"))
    seen = [
        (node.op_type, tuple(node.input), tuple(a.SerializeToString() for a in node.attribute))
        for node in built.graph.node
        if node.name.startswith("gradient/")
    ]
    assert len(seen) == len(set(seen))


def test_no_output_of_a_written_node_is_unused() -> None:
    built = build(network(), GradientRequest("x", "y"))
    used = {name for node in built.graph.node for name in node.input}
    used |= {value.name for value in built.graph.output}
    assert all(set(node.output) & used for node in built.graph.node)


@pytest.mark.parametrize("opset", [11, 17, 18, 21])
def test_any_opset_gives_the_same_gradient_in_standard_operators(opset: int) -> None:
    built = build(network(opset=opset), GradientRequest("x", "y", kind="log-odds"))
    onnx.checker.check_model(built, full_check=True)
    assert {node.domain for node in built.graph.node} <= {"", "ai.onnx"}
    expected = run(build(network(), GradientRequest("x", "y", kind="log-odds")), images(2), [0, 1])
    np.testing.assert_allclose(run(built, images(2), [0, 1])[DX], expected[DX], atol=1e-6)


def test_weights_of_16_bits_stay_so_and_are_computed_with_in_32() -> None:
    model = network(dtype=np.float16)
    wide = network()
    for stored in wide.graph.initializer:
        rounded = numpy_helper.to_array(stored).astype(np.float16).astype(np.float32)
        stored.CopyFrom(numpy_helper.from_array(rounded, stored.name))
    built = build(model, GradientRequest("x", "y"))
    expected = run(build(wide, GradientRequest("x", "y")), images(2), [0, 1])
    np.testing.assert_allclose(run(built, images(2), [0, 1])[DX], expected[DX], atol=1e-7)


def test_a_scale_behind_weights_of_16_bits_does_not_make_them_wide() -> None:
    """A weight of 16 bits times a scale takes 32: folding must not multiply them."""
    half = {"w": normal(8, 3, 5, 5), "scale": normal(8, 1, 1), "last": normal(8, CLASSES)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "scale"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "last"], ["y"]),
    ]
    model = network(dtype=np.float16)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(v.astype(np.float16), k) for k, v in half.items()
    )
    built = build(model, GradientRequest("x", "y"))
    assert [t.data_type for t in built.graph.initializer if np.prod(t.dims) == 600] == [
        TensorProto.FLOAT16
    ]


def test_weights_listed_among_the_inputs_are_constants() -> None:
    model = network()
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in model.graph.initializer
    )
    built = build(model, GradientRequest("x", "y"))
    assert [value.name for value in built.graph.input] == ["x", "target"]


@first_output_rule
def guided(tape: Tape, node: Node, g: str) -> Grads:
    """Guided backpropagation: Relu also backwards (Springenberg et al., ICLR 2015)."""
    (plain,) = RULES["Relu"](tape, node, [g])
    assert plain is not None
    return [tape.op("Relu", plain)]


def relus() -> ModelProto:
    rng, node = np.random.default_rng(0), helper.make_node
    weights = {k: rng.normal(size=(5, 5)).astype("f") for k in ("a", "b", "c")}
    nodes = [
        node("MatMul", ["x", "a"], ["h1"]), node("Relu", ["h1"], ["r1"], name="first"),
        node("MatMul", ["r1", "b"], ["h2"]), node("Relu", ["h2"], ["r2"], name="second"),
        node("MatMul", ["r2", "c"], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "relus",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def build_relus(**options: Any) -> ModelProto:
    examples = [{"x": normal(n, 5).astype("f")} for n in (2, 3)]
    wish = GradientRequest("x", "y", kind="logit")
    return build_gradient(relus(), wish, RuntimeMeasure(), examples, **options)


def test_a_rule_can_be_put_in_place_of_another() -> None:
    x = normal(4, 5, seed=3).astype("f")
    found = run(build_relus(rules={**RULES, "Relu": guided}), x, [0, 1, 2, 3])[DX]
    a, b, c = (numpy_helper.to_array(t) for t in relus().graph.initializer)
    h1 = x @ a
    h2 = np.maximum(h1, 0) @ b
    g = np.maximum(c.T[:4] * (h2 > 0), 0)
    g = np.maximum(g @ b.T * (h1 > 0), 0)
    np.testing.assert_allclose(found, g @ a.T, rtol=1e-5, atol=1e-6)


def test_installed_packages_add_rules() -> None:
    where = f"{guided.__module__}:guided"
    found = {"domain::Relu": EntryPoint("domain::Relu", where, RULES_GROUP)}
    rules = load_installed_rules(found)
    assert rules["domain::Relu"] is guided
    assert rules["Conv"] is RULES["Conv"]


def test_an_operator_without_a_rule_is_named_with_its_node_and_what_to_do() -> None:
    rules = {name: rule for name, rule in RULES.items() if name != "Relu"}
    with pytest.raises(GradientError, match=r"node 'second' \(Relu\).*no gradient rule.*spsa"):
        build_relus(rules=rules)


def test_what_is_not_on_the_way_to_the_score_needs_no_rule() -> None:
    model = relus()
    model.graph.node.insert(0, helper.make_node("Shape", ["x"], ["size"]))
    model.graph.node.append(helper.make_node("NonZero", ["y"], ["places"]))
    examples = [{"x": normal(n, 5).astype("f")} for n in (2, 3)]
    build_gradient(model, GradientRequest("x", "y"), RuntimeMeasure(), examples)


def test_further_outputs_of_nodes_do_not_matter() -> None:
    """What Dropout kept, and the places of maxima: the gradient passes their nodes."""
    node, found = helper.make_node, []
    examples = [{"x": normal(n, 1, 4, 4, seed=n).astype("f")} for n in (2, 3)]
    for kept, places in ((["kept"], ["places"]), ([], [])):
        nodes = [
            node("Dropout", ["x"], ["d", *kept]),
            node("MaxPool", ["d"], ["m", *places], kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", ["m"], ["y"]),
        ]
        model = make_model(nodes, examples[0], {}, ["y"], opset=11)
        built = build_gradient(model, GradientRequest("x", "y"), RuntimeMeasure(), examples)
        found.append(run(built, examples[1]["x"], [0, 1, 2])[DX])
    np.testing.assert_array_equal(found[0], found[1])


def test_outputs_beside_the_scores_do_not_matter() -> None:
    """As scikit-learn's exporters add one, of which not even a shape can be asked."""
    model, wish = network("Softmax"), GradientRequest("x", "y", head="probabilities")
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    labels = {"classlabels_int64s": [*range(CLASSES)], "domain": "ai.onnx.ml"}
    model.graph.node.extend(
        [
            helper.make_node("ZipMap", ["y"], ["by label"], **labels),
            helper.make_node("TopK", ["y", "k"], ["best", "places"]),
        ]
    )
    model.graph.output.append(onnx.ValueInfoProto(name="by label"))
    model.graph.initializer.append(numpy_helper.from_array(ints(2), "k"))
    built = build(model, wish)
    expected = run(build(network("Softmax"), wish), images(2), [0, 1])
    np.testing.assert_array_equal(run(built, images(2), [0, 1])[DX], expected[DX])
    assert "k" not in collect_tensor_names(built.graph)


def test_what_a_branch_alone_reads_is_kept() -> None:
    """A branch that the image chooses: it has no rule, but its result carries no gradient."""
    model, node = network(), helper.make_node
    out = [onnx.ValueInfoProto(name="chosen")]
    one, other = (
        helper.make_graph([node("Floor", [name], ["chosen"])], name, [], out)
        for name in ("twice", "y0")
    )
    model.graph.node[-1].output[0] = "y0"
    model.graph.node.extend(
        [
            node("Add", ["y0", "y0"], ["twice"]),
            node("ReduceMax", ["y0"], ["most"], keepdims=0),
            node("Greater", ["most", "zero"], ["high"]),
            node("If", ["high"], ["rounded"], then_branch=one, else_branch=other),
            node("Ceil", ["rounded"], ["step"]),
            node("Add", ["y0", "step"], ["y"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    wish = GradientRequest("x", "y", kind="logit")
    found = run(build(model, wish), images(2), [0, 1])
    expected = run(build(network(), wish), images(2), [0, 1])
    np.testing.assert_allclose(found[DX], expected[DX], atol=1e-6)


def test_a_score_that_does_not_depend_on_the_image_is_an_error() -> None:
    model = relus()
    model.graph.node[1].op_type = "Floor"
    examples = [{"x": normal(n, 5).astype("f")} for n in (2, 3)]
    with pytest.raises(GradientError, match="does not depend on 'x'"):
        build_gradient(model, GradientRequest("x", "y"), RuntimeMeasure(), examples)


def test_images_of_whole_numbers_have_no_gradient() -> None:
    model = relus()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(GradientError, match=r"'x' holds uint8.*scores alone"):
        build_gradient(model, GradientRequest("x", "y"), RuntimeMeasure(), [])


@pytest.mark.parametrize(("tensor", "text"), [("nowhere", "no tensor named 'nowhere'")])
def test_unknown_tensors_are_refused(tensor: str, text: str) -> None:
    with pytest.raises(GradientError, match=text):
        build(network(), GradientRequest("x", "y", tensors=(tensor,)))


def renamed(model: ModelProto, old: str, new: str) -> ModelProto:
    """The model with another name for a tensor."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for stored in model.graph.initializer:
        stored.name = new if stored.name == old else stored.name
    return model


@pytest.mark.parametrize("own", ["c", "w2"])
@pytest.mark.parametrize("name", ["head/", "gradient/", "gradient/constant", "shape of f"])
def test_a_tensor_may_have_a_name_that_would_be_written(name: str, own: str) -> None:
    wish = GradientRequest("x", "y", kind="log-odds")
    plain = build(network(), wish)
    written = {*collect_tensor_names(plain.graph), "shape of f"}
    taken = min(one for one in written if one.startswith(name))
    built = build(renamed(network(), own, taken), wish)
    expected = run(plain, images(2), [0, 1])
    np.testing.assert_array_equal(run(built, images(2), [0, 1])[DX], expected[DX])


def test_weights_of_16_bits_may_have_a_name_that_would_be_written() -> None:
    nodes = [helper.make_node("Sum", ["x", "w", "w in 16 bits"], ["y"])]
    ones, x = np.ones(300, np.float32), {"x": normal(2, 300).astype("f")}
    model = make_model(nodes, x, {"w": ones, "w in 16 bits": 2 * ones}, ["y"])
    store_as_halves(model)
    found = Plain().run(model.SerializeToString(), x)["y"]
    np.testing.assert_allclose(found, x["x"] + 3, rtol=1e-6)


def branched(model: ModelProto, weights: str = "w1") -> ModelProto:
    """The model with its first node in a branch that is always taken, its weights in there too."""
    graph = model.graph
    first, stored = graph.node[0], graph.initializer[0]
    first.input[1] = stored.name = weights
    out = onnx.ValueInfoProto(name=first.output[0])
    branch = helper.make_graph([first], "branch", [], [out], [stored])
    taken = helper.make_node("If", ["yes"], [out.name], then_branch=branch, else_branch=branch)
    first.CopyFrom(taken)
    stored.CopyFrom(numpy_helper.from_array(np.array(True), "yes"))
    return model


@pytest.mark.parametrize("name", ["target", "target_score", DX])
@pytest.mark.parametrize("where", ["weights", "node", "branch"])
def test_a_name_that_the_gradient_needs_is_refused(name: str, where: str) -> None:
    model = network()
    if where == "branch":
        branched(model, name)
    else:
        renamed(model, "w2" if where == "weights" else "c", name)
    with pytest.raises(GradientError, match=f"a tensor named '{name}', which the gradient graph"):
        build(model, GradientRequest("x", "y"))


def test_a_row_that_the_image_chooses_is_no_constant_of_a_fixed_batch() -> None:
    """The gradient is of the row that this image's sums choose, not of the example's."""
    node = helper.make_node
    nodes = [
        node("ReduceSum", ["x", "two"], ["sums"], keepdims=0),
        node("ArgMax", ["sums"], ["at"], axis=1, keepdims=0),
        node("Gather", ["x", "at"], ["row"], axis=1),
        node("Flatten", ["row"], ["y"]),
    ]
    x = np.zeros((1, 5, CLASSES), np.float32)
    x[0, 1] = 1
    model = make_model(nodes, {"x": x}, {"two": ints(2)}, ["y"])
    example = {"x": x[:, ::-1].copy()}
    built = build_gradient(
        model, GradientRequest("x", "y", kind="logit"), RuntimeMeasure(), [example]
    )
    found = run(built, x, [2])[DX]
    expected = np.zeros_like(x)
    expected[0, 1, 2] = 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("end", ["Softmax", "Sigmoid"])
@pytest.mark.parametrize("shaping", ["Identity", "Flatten", "Reshape", "Squeeze"])
def test_a_saturated_end_is_looked_through_what_shapes_it(end: str, shaping: str) -> None:
    """The log-odds of a sigmoid's class, and of a softmax's against the others, keep a slope."""
    node, columns = helper.make_node, 1 if end == "Sigmoid" else CLASSES
    nodes = [
        node("Mul", ["x", "far"], ["z"]),
        node("Reshape", ["z", "maps"], ["wide"]) if shaping != "Identity" else
        node("Identity", ["z"], ["wide"]),
        node(end, ["wide"], ["p"], **({"axis": 1} if end == "Softmax" else {})),
        node(shaping, ["p", *{"Reshape": ["rows"], "Squeeze": ["axes"]}.get(shaping, [])], ["y"]),
    ]  # fmt: skip
    constants = {
        "far": np.array(1000, "f"),
        "maps": ints(-1, columns, 1, 1),
        "rows": ints(-1, columns),
        "axes": ints(2, 3),
    }
    x = np.abs(normal(3, columns)).astype("f") + 3 * np.eye(1, columns, dtype="f")
    model = make_model(nodes, {"x": x}, constants, ["y"])
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", columns])
    )
    head: Head = "sigmoid" if end == "Sigmoid" else "probabilities"
    wish = GradientRequest("x", "y", head=head, kind="log-odds")
    examples = [{"x": x[:n]} for n in (2, 3)]
    built = build_gradient(model, wish, RuntimeMeasure(), examples)
    found = run(built, x, [0, 0, 0] if head == "probabilities" else [1, 1, 1])[DX]
    assert np.isfinite(found).all()
    assert (np.abs(found).max(axis=1) > 100).all()


def test_a_softmax_over_groups_is_not_looked_through() -> None:
    node = helper.make_node
    nodes = [
        node("Reshape", ["x", "pairs"], ["wide"]),
        node("Softmax", ["wide"], ["p"], axis=2),
        node("Reshape", ["p", "rows"], ["y"]),
    ]
    x = normal(3, CLASSES).astype("f")
    constants = {"pairs": ints(-1, 2, CLASSES // 2), "rows": ints(-1, CLASSES)}
    model = make_model(nodes, {"x": x}, constants, ["y"])
    wish = GradientRequest("x", "y", head="probabilities", kind="probability")
    built = build_gradient(model, wish, RuntimeMeasure(), [{"x": x[:2]}, {"x": x}])
    found = run(built, x, [0, 1, 3])
    np.testing.assert_allclose(found[SCORE], found["y"][range(3), [0, 1, 3]], rtol=1e-6)


def test_further_inputs_are_named() -> None:
    """Some exporters leave constants outside the graph."""
    model = network()
    model.graph.input.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, [3]))
    with pytest.raises(GradientError, match="needs more inputs than the image: mean"):
        build(model, GradientRequest("x", "y"))


def test_the_self_check_passes_a_right_gradient_and_fails_a_wrong_one() -> None:
    built, rng = (
        build(network(), GradientRequest("x", "y", kind="log-odds")),
        np.random.default_rng(0),
    )

    def right(x: Array) -> tuple[Array, Array]:
        found = run(built, x, [1] * len(x))
        return found[SCORE], found[DX]

    def wrong(x: Array) -> tuple[Array, Array]:
        score, gradient = right(x)
        return score, gradient * 1.2

    assert check_gradient(right, images(1)[0], rng).passed
    assert not check_gradient(wrong, images(1)[0], rng).passed


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_the_self_check_sees_that_a_part_of_the_gradient_is_missing(share: float) -> None:
    built, rng = (
        build(network(), GradientRequest("x", "y", kind="log-odds")),
        np.random.default_rng(0),
    )
    kept = np.random.default_rng(5).random(images(1).shape) < share

    def wanting(x: Array) -> tuple[Array, Array]:
        found = run(built, x, [1] * len(x))
        return found[SCORE], found[DX] * kept

    assert not check_gradient(wanting, images(1)[0], rng).passed


def test_a_score_that_does_not_change_has_a_gradient_of_zero() -> None:
    def flat(x: Array) -> tuple[Array, Array]:
        rounding = 1e-7 * np.sign(x.sum(axis=1, dtype=np.float64))
        return 1 + rounding, np.zeros_like(x)

    assert check_gradient(flat, normal(50).astype("f"), np.random.default_rng(0)).passed


def test_slopes_of_two_steps_that_agree_by_chance_do_not_fool_the_self_check() -> None:
    """Below rounding the slope looks halved, at two steps alike; above it is 1, within 1 %."""

    def rounded(x: Array) -> tuple[Array, Array]:
        t = x[:, 0].astype(np.float64)
        wavy = t * (1 + 0.01 * np.cos(5 * np.log(np.abs(t) + 1e-30)))
        return np.where(np.abs(t) < 2e-5, t / 2, wavy), np.ones_like(x)

    assert check_gradient(rounded, np.zeros(1, np.float32), np.random.default_rng(0)).passed


def test_the_node_where_a_bad_number_arises_is_found_on_the_way_back_too() -> None:
    """The square root of 0 is fine, its slope is not; infinities before are no NaN."""
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["a"]),
        helper.make_node("Sqrt", ["a"], ["y"], name="root"),
    ]
    x = {"x": normal(2, CLASSES).astype("f")}
    model = make_model(nodes, x, {"zero": np.zeros(1, "f")}, ["y"])
    examples = [{"x": normal(n, CLASSES).astype("f")} for n in (2, 3)]
    built = build_gradient(model, GradientRequest("x", "y", kind="logit"), Plain(), examples)
    data, feeds = built.SerializeToString(), {**x, "target": ints(0, 1)}
    found = Plain().run(data, feeds)
    assert np.isfinite(found["y"]).all()
    assert np.isnan(found[DX]).any()
    assert "(Mul)" in str(find_nonfinite_node(data, Plain(), feeds, np.nan))
    assert "(Div)" in str(find_nonfinite_node(data, Plain(), feeds, np.inf))
    finite = build(network(), GradientRequest("x", "y")).SerializeToString()
    fine = {"x": images(2), "target": ints(0, 1)}
    assert find_nonfinite_node(finite, Plain(), fine, np.nan) is None


def masked(dtype: type) -> ModelProto:
    """The network on ``base + m * delta``, its mask m of 3 x 5 cells enlarged to the image."""
    model = network(dtype=dtype)
    graph = model.graph
    tensors = {
        "base": normal(1, 3, 9, 10, seed=5).astype(dtype),
        "delta": normal(1, 3, 9, 10, seed=6).astype(dtype),
        "scales": np.array([1, 1, 3, 2], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in tensors.items())
    composing = [
        helper.make_node("Resize", ["m", "", "scales"], ["large"], mode="linear"),
        helper.make_node("Mul", ["large", "delta"], ["change"]),
        helper.make_node("Add", ["base", "change"], ["x"]),
    ]
    nodes = [*composing, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph.input.append(helper.make_tensor_value_info("m", code, ["N", 1, 3, 5]))
    return model


def test_the_gradient_of_a_mask_that_a_graph_enlarges_and_composes() -> None:
    """As MP needs it: exact in one pass, against differences of each cell in float64."""
    cells = np.random.default_rng(2).random((3, 1, 3, 5))
    wish, dm = GradientRequest("m", "y", kind="log-odds"), gradient_name("m")
    examples = [{"m": cells[:2]}, {"m": cells}]
    wide = build_gradient(masked(np.float64), wish, Reference(), examples)
    feeds = {"m": cells, "target": ints(1, 2, 3)}
    found = Reference().run(wide.SerializeToString(), feeds)

    evaluator = evaluate(wide)
    for cell in range(15):
        step = np.zeros(15)
        step[cell] = 1e-5
        up, down = (
            evaluator.run([SCORE], {**feeds, "m": cells + sign * step.reshape(1, 1, 3, 5)})[0]
            for sign in (1, -1)
        )
        np.testing.assert_allclose(found[dm].reshape(3, 15)[:, cell], (up - down) / 2e-5, atol=1e-8)

    singles = [{"m": one["m"].astype("f")} for one in examples]
    built = build_gradient(masked(np.float32), wish, RuntimeMeasure(), singles)
    rounded = Plain().run(built.SerializeToString(), {**feeds, "m": cells.astype("f")})
    np.testing.assert_allclose(rounded[dm], found[dm], atol=1e-6)
