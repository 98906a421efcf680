"""The operator Attention, written out, so that its weights are tensors and have gradients."""

from __future__ import annotations

from onnx import ModelProto, helper, inliner

FUSED = "Attention"  # of opset 23 and later; it is a function of other standard operators
STANDARD = ("", "ai.onnx")


def expand_attention(model: ModelProto) -> ModelProto:
    """Return a model in which every Attention is the operators that it stands for.

    Equal graphs get equal names. Weights are not copied while it is written out.

    Parameters
    ----------
    model : ModelProto
        Not changed; it is returned itself if it has no Attention.
    """
    graph = model.graph
    if not any(node.op_type == FUSED and node.domain in STANDARD for node in graph.node):
        return model
    bare = ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.graph.node.extend(graph.node)
    declared = {value.name for value in graph.input}
    bare.graph.input.extend(graph.input)
    bare.graph.input.extend(  # types of weights, without their values
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.initializer
        if tensor.name not in declared
    )
    bare.graph.value_info.extend(graph.value_info)
    bare.graph.output.extend(graph.output)
    written_out = inliner.inline_selected_functions(
        bare, [(domain, FUSED) for domain in STANDARD], inline_schema_functions=True
    )
    expanded = ModelProto()
    expanded.CopyFrom(model)
    del expanded.graph.node[:]
    expanded.graph.node.extend(written_out.graph.node)
    return expanded
