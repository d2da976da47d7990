"""ATen operator → kind. What is not listed is `other`, glued and priced like the rest."""

from profiles.graph import Kind

_NAMES: dict[Kind, str] = {
    "convolution": "conv1d conv2d conv3d convolution conv_transpose1d conv_transpose2d conv_transpose3d",
    "linear": "linear addmm",
    "matmul": "matmul mm bmm baddbmm einsum scaled_dot_product_attention lstm gru rnn_tanh rnn_relu",
    "embedding": "embedding embedding_bag",
    "normalisation": (
        "batch_norm _native_batch_norm_legit_no_training layer_norm native_layer_norm group_norm "
        "native_group_norm instance_norm rms_norm local_response_norm"
    ),
    "activation": (
        "relu relu6 leaky_relu prelu elu selu gelu silu mish sigmoid hardsigmoid hardswish hardtanh tanh softmax "
        "_softmax log_softmax _log_softmax softplus clamp clamp_min clamp_max pow sqrt rsqrt exp log abs neg sin cos "
        "erf reciprocal square masked_fill eq ne lt le gt ge logical_not bitwise_not __invert__"
    ),
    "pooling": (
        "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d "
        "adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d mean amax amin sum"
    ),
    "reshape": (
        "flatten view reshape _unsafe_view unflatten permute transpose t squeeze unsqueeze expand contiguous clone "
        "slice select split split_with_sizes chunk unbind alias numpy_T pixel_shuffle channel_shuffle roll pad "
        "constant_pad_nd to _to_copy type_as detach index gather index_select repeat repeat_interleave tile flip "
        "movedim narrow swapaxes view_as reshape_as expand_as unfold"
    ),
    "join": "add sub rsub mul div cat concat stack minimum maximum where logical_and logical_or bitwise_and "
    "bitwise_or __and__ __or__",
}

_KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def kind_of(op: str, *, tensors: int) -> Kind:
    """The kind of an operator by its ATen name (`conv2d`); `tensors`: how many computed tensors come in.

    A join with a constant is no join: one tensor comes in, so it is glued as an activation is.
    """
    kind = _KINDS.get(op, "other")
    if tensors > 1 and kind not in ("convolution", "linear", "matmul", "embedding"):
        return "join"
    if kind == "join":
        return "activation" if tensors == 1 else "other"
    return kind
