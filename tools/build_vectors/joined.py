"""Model packages whose layers join, move and pool values: skip connections (model.md, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.build_vectors.bad_network import wrong
from tools.build_vectors.case import Case
from tools.build_vectors.model_valid import good
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.sample_networks import RAMP

# 2 x 2 latents -> 5 x 3 pixels of 2 channels.  Value 2 goes around the convolution and is added behind it, three times over.
SKIP = Network(
    input={"shape": [2, 2, 1], "type": "i8", "range": [-100, 100]},
    output={"shape": [5, 3, 2], "type": "u8"},
    layers=[
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [0, 0, 0, 0]},
        {"kind": "lookup", "multiplier": 2, "shift": 5, "table": 3},
        {"kind": "affine", "weights": 4, "bias": 5},
        {"kind": "conv2d", "weights": 6, "bias": 7, "strides": [1, 1], "padding": [1, 1, 1, 1], "inputs": [2]},
        {"kind": "add", "inputs": [3, 4, 2]},
        {"kind": "lookup", "multiplier": 8, "shift": 8, "table": 9},
        {"kind": "upsample", "factors": [2, 1]},
        {"kind": "max_pool", "size": [2, 2], "strides": [1, 1], "padding": [1, 1, 0, 1], "inputs": [6]},
        {"kind": "concat", "axis": 0, "inputs": [7, 8]},
        {"kind": "pad", "padding": [1, 0, 0, 2], "value": -3},
        {"kind": "crop", "crop": [2, 1, 0, 1]},
        {"kind": "affine", "weights": 10, "bias": 11},
        {"kind": "lookup", "multiplier": 2, "shift": 6, "table": 3},
    ],
    tensors=[
        Tensor([1, 1, 1, 2], "i8", [5, -3]),
        Tensor([2], "i32", [7, -9]),
        Tensor([2], "i32", [1, 2]),
        Tensor([18], "u8", RAMP),
        Tensor([2], "i32", [1_000, -128]),
        Tensor([2], "i32", [-20_000, 30]),
        Tensor([3, 3, 2, 2], "i8", [(i * 37 + 11) % 255 - 127 for i in range(36)]),
        Tensor([2], "i32", [500, -500]),
        Tensor([2], "i32", [3, 5]),
        Tensor([256], "i8", [i // 2 - 64 for i in range(256)]),
        Tensor([2], "i32", [-4, 7]),
        Tensor([2], "i32", [40, -50]),
    ],
    golden=[[0, 0, 0, 0], [100, -100, 50, -50], [1, 2, 3, 4]],
)

# 2 x 2 float latents -> 4 x 3 pixels of 2 channels.
FLOAT_SKIP = Network(
    profile="float32",
    input={"shape": [2, 2, 1], "type": "f32"},
    output={"shape": [4, 3, 2], "type": "u8"},
    layers=[
        {"kind": "affine", "weights": 0, "bias": 1},
        {"kind": "upsample", "factors": [1, 2]},
        {"kind": "average_pool", "size": [2, 3], "strides": [1, 2], "padding": [1, 0, 1, 2]},
        {"kind": "max_pool", "size": [1, 2], "strides": [2, 1], "padding": [0, 0, 1, 0], "inputs": [2]},
        {"kind": "pad", "padding": [0, 2, 1, 0], "value": 1, "inputs": [3]},
        {"kind": "crop", "crop": [1, 0, 0, 0]},
        {"kind": "upsample", "factors": [3, 1], "inputs": [4]},
        {"kind": "add", "inputs": [6, 7, 6]},
        {"kind": "pad", "padding": [0, 1, 0, 0], "value": -1, "inputs": [8]},
        {"kind": "concat", "axis": 2, "inputs": [9, 9]},
        {"kind": "crop", "crop": [0, 0, 0, 1]},
        {"kind": "to_u8"},
    ],
    tensors=[Tensor([1], "f16", [0.75]), Tensor([1], "f32", [0.0625])],
    golden=[[0.0, 0.0, 0.0, 0.0], [0.5, -0.25, 0.125, 1.0]],
)  # fmt: skip

# Two u8 values, added: the smallest network with a join.
ADDED = Network(
    input={"shape": [1, 2, 1], "type": "u8"},
    output={"shape": [1, 2, 1], "type": "u8"},
    layers=[
        {"kind": "affine", "weights": 0, "bias": 1},
        {"kind": "add", "inputs": [1, 0]},
        {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
    ],
    tensors=[Tensor([1], "i32", [3]), Tensor([1], "i32", [-7]), Tensor([1], "i32", [1]), Tensor([18], "u8", RAMP)],
    golden=[[0, 0], [255, 1]],
)


def cases() -> Iterator[Case]:
    """All of them."""
    rows = [[-100, -100, -100, -100], [100, 100, 100, 100], [-1, 0, 1, 99]]
    yield good(40, "skip", SKIP, "A skip connection in integers; every kind that joins or moves.", "M3-3 M3-5 M3-6 M4-5 M7-1",
               rows, refused=[[0, 101, 0, 0]])  # fmt: skip
    yield good(41, "float-skip", FLOAT_SKIP, "Joins and pools in float32.", "M3-4 M3-5 M5-1", [[0.3, -0.7, 1.5, 0.25]])
    yield good(42, "add", ADDED, "u8 and sums, added.", "M3-6", [[0, 255], [9, 4]])
    largest = (
        ADDED.tensor(0, numbers=[1])
        .tensor(1, numbers=[2**31 - 1 - 2 * 255])
        .tensor(2, numbers=[2**22])
        .layer(2, shift=22)
    )
    yield good(43, "add-at-the-limit", largest, "A bound of 2^31 - 1, and times the multiplier just below 2^53.", "M4-1 M4-4",
               [[0, 255]])  # fmt: skip
    yield good(
        44,
        "add-64",
        ADDED.layer(1, inputs=[1, *[0] * 63]),
        "As many inputs as there may be.",
        "M3-3",
        [[0, 255], [1, 2]],
    )
    yield from _keys()
    yield from _shapes()
    yield from _types()
    yield from _numbers()


def _inside(network: Network, layer: dict[str, Any]) -> Network:
    """One more layer behind the input."""
    later = [{**one, "inputs": [n + 1 for n in one.get("inputs", [k])]} for k, one in enumerate(network.layers)]
    return network.with_(layers=[{**layer, "inputs": layer.get("inputs", [0])}, *later])


_POOL = {"kind": "max_pool", "size": [2, 2], "strides": [1, 1], "padding": [0, 0, 0, 0]}


def _keys() -> Iterator[Case]:
    for number, name, network, why in (
        (260, "factors-0", SKIP.layer(6, factors=[0, 1]), "A factor of 0 leaves nothing."),
        (261, "factors-17", SKIP.layer(6, factors=[2, 17]), "Over the limit."),
        (262, "factors-integer", SKIP.layer(6, factors=2), "A list of two."),
        (263, "interpolation", SKIP.layer(6, interpolation="nearest"), "There is one way only, and no key for it."),
        (264, "size-0", SKIP.layer(7, size=[0, 2]), "A window of nothing."),
        (265, "size-1025", SKIP.layer(7, size=[2, 1_025]), "Over the limit."),
        (266, "axis-8", SKIP.layer(8, axis=8), "Over the limit."),
        (267, "axis-negative", SKIP.layer(8, axis=-1), "Counting from the end."),
        (268, "value-256", SKIP.layer(9, value=256), "Over the limit."),
        (269, "value-minus-129", SKIP.layer(9, value=-129), "Under the limit."),
        (270, "value-missing", SKIP.layer(9, value=None), "Zeros are written down, too."),
        (271, "affine-bias-missing", SKIP.layer(2, bias=None), "Every affine layer has a bias."),
        (272, "add-axis", SKIP.layer(4, axis=0), "A key of another kind."),
    ):  # fmt: skip
        yield wrong(number, f"layer-{name}", network, "M3-2", why)
    for number, name, network, why in (
        (275, "add-one", ADDED.layer(1, inputs=[1]), "Two at least."),
        (276, "add-none", ADDED.layer(1, inputs=[]), "Two at least."),
        (277, "add-65", ADDED.layer(1, inputs=[1, *[0] * 64]), "One over the limit."),
        (278, "add-own", ADDED.layer(1, inputs=[1, 2]), "Its own value."),
        (279, "concat-one", SKIP.layer(8, inputs=[7]), "Two at least."),
        (280, "upsample-two", SKIP.layer(6, inputs=[6, 6]), "One value, not two."),
    ):
        yield wrong(number, f"inputs-{name}", network, "M3-3", why)
    pooled = _inside(ADDED, {**_POOL, "kind": "average_pool", "size": [1, 1]})
    yield wrong(285, "average-pool-in-exact", pooled, "M3-4", "A mean is no integer.")


def _shapes() -> Iterator[Case]:
    for number, name, network, why in (
        (290, "add", SKIP.layer(4, inputs=[3, 4, 0]), "One channel and two: nothing is broadcast."),
        (291, "concat-axis", SKIP.layer(8, axis=3), "An input has three axes, this would be the fourth."),
        (292, "concat-sizes", SKIP.layer(8, axis=2), "Four rows and three, side by side."),
        (293, "concat-axes", _inside(ADDED, {"kind": "flatten"}).layer(2, kind="concat", axis=0, inputs=[0, 1]), "Three axes and one."),
        (294, "upsample-of-vector", _inside(_inside(ADDED, {"kind": "upsample", "factors": [1, 1]}), {"kind": "flatten"}), "No pixels."),
        (295, "pool-padding", SKIP.layer(7, padding=[2, 0, 0, 0]), "The first window would hold nothing."),
        (296, "pool-padding-behind", SKIP.layer(7, padding=[0, 0, 0, 2]), "The last window could hold nothing."),
        (297, "pool-window", SKIP.layer(7, size=[5, 2]), "A window of five rows on four."),
        (298, "pad-of-vector", _inside(_inside(ADDED, {"kind": "pad", "padding": [0, 0, 0, 0], "value": 0}), {"kind": "flatten"}), "No pixels."),
        (299, "crop-leaves-nothing", SKIP.layer(10, crop=[5, 3, 0, 0]), "Eight rows of eight are cut off."),
        (300, "affine-weights", SKIP.tensor(4, shape=[1], numbers=[1]), "One weight for two channels: nothing is broadcast."),
        (301, "affine-bias", SKIP.tensor(5, shape=[1], numbers=[1]), "One bias for two channels: nothing is broadcast."),
        (302, "affine-axes", SKIP.tensor(4, shape=[1, 2]), "Weights with two axes."),
    ):  # fmt: skip
        yield wrong(number, f"shape-{name}", network, "M3-5", why)
    wide = Network(
        input={"shape": [1_024, 1_025, 1], "type": "u8"}, output={"shape": [1, 1, 1], "type": "u8"},
        layers=[{"kind": "upsample", "factors": [16, 16]}], tensors=[], golden=[[0]], golden_output=[[0]],
        ends=[Tensor([1, 1], "u8", [0]), Tensor([1, 1, 1, 1], "u8", [0])],
    )  # fmt: skip
    yield wrong(303, "shape-upsample-2-to-28", wide, "M3-5", "1,024 x 1,025 become more than 2^28.", "limit")


def _types() -> Iterator[Case]:
    flat = FLOAT_SKIP.with_(layers=[{"kind": "to_u8"}, *FLOAT_SKIP.layers])
    for number, name, network, why in (
        (305, "add-of-u8-in-float32", flat.layer(1, kind="add", inputs=[0, 1], weights=None, bias=None), "f32 and u8."),
        (306, "concat-of-two-types", SKIP.layer(8, axis=2, inputs=[6, 2]), "i8 and u8."),
        (307, "concat-of-sums", SKIP.layer(8, axis=2, inputs=[3, 4]), "Sums go to a lookup or an add."),
        (308, "upsample-of-sums", SKIP.layer(6, inputs=[5]), "Sums go to a lookup or an add."),
        (309, "max-pool-of-sums", SKIP.layer(7, inputs=[5]), "Sums go to a lookup or an add."),
        (310, "pad-u8-with-minus-1", _inside(ADDED, {"kind": "pad", "padding": [0, 0, 0, 0], "value": -1}), "u8 does not hold -1."),
        (311, "pad-i8-with-128", SKIP.layer(9, value=128), "i8 does not hold 128."),
        (312, "average-pool-of-u8", flat.layer(1, **{**_POOL, "kind": "average_pool"}, weights=None, bias=None), "It takes f32."),
        (313, "affine-weights-i8", SKIP.tensor(4, type="i8", numbers=[1, -1]), "Exact weights of affine are i32."),
        (314, "affine-of-sums", SKIP.layer(11, inputs=[5]).layer(10, crop=[0, 0, 0, 0]), "Sums go to a lookup or an add."),
        (315, "added-into-conv", SKIP.layer(3, inputs=[3]), "Sums go to a lookup or an add."),
        (316, "affine-of-u8-in-float32", flat, "u8 must be scaled first."),
    ):  # fmt: skip
        yield wrong(number, f"type-{name}", network, "M3-6", why)


def _numbers() -> Iterator[Case]:
    big = ADDED.tensor(0, numbers=[1]).tensor(1, numbers=[2**31 - 2 * 255])
    steep = ADDED.tensor(1, numbers=[2**30 - 4 * 255])
    for number, name, network, rule, why in (
        (320, "bound-of-add", big, "M4-1", "Sums of 2^31 - 255 and 255 are 2^31 together: one too large."),
        (321, "bound-of-affine", ADDED.tensor(0, numbers=[-(2**31)]), "M4-1", "A weight of -2^31."),
        (322, "product-of-add", steep.tensor(2, numbers=[2**23]), "M4-4", "A bound of 2^30, all inputs together, times 2^23 is 2^53."),
        (323, "output-range-of-pad", _ending({"kind": "pad", "padding": [0, 0, 0, 0], "value": 254}), "M4-6",
         "The value of pad is 254, even where it pads nothing."),
        (324, "output-range-of-concat", _ending({"kind": "concat", "axis": 0, "inputs": [4, 3]}, rows=2), "M4-6",
         "The second input reaches 255."),
    ):  # fmt: skip
        yield wrong(number, name, network, rule, why)


def _ending(layer: dict[str, Any], rows: int = 1) -> Network:
    """A lookup up to 255, one up to 253, one more layer; the output's range ends at 253."""
    low = Tensor([2], "u8", [0, 253])
    return ADDED.with_(
        output={"shape": [rows, 2, 1], "type": "u8", "range": [0, 253]},
        layers=[
            ADDED.layers[0],
            {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 4},
            {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3, "inputs": [1]},
            {"kind": "upsample", "factors": [1, 1], "inputs": [2]},
            *([{"kind": "concat", "axis": 1, "inputs": [4, 3]}, {"kind": "crop", "crop": [0, 0, 0, 2]}] if rows == 1 else []),
            layer,
        ],
        tensors=[*ADDED.tensors, low],
    )  # fmt: skip
