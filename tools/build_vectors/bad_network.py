"""Invalid model packages: layers, numbers and golden sets (model.md, sections 3, 4 and 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.build_vectors.bad_package import refused
from tools.build_vectors.case import Case, bad
from tools.build_vectors.network import Network, Tensor, single
from tools.build_vectors.sample_networks import (
    CONVOLUTIONS,
    ENCODER,
    FLOAT_DECODER,
    FLOAT_ENCODER,
    MANY_PIXELS,
    RAMP,
    TWO_PIXELS,
)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _kinds_and_keys()
    yield from _inputs()
    yield from _shapes()
    yield from _types()
    yield from _ends()
    yield from _lookups()
    yield from _numbers()
    yield from _golden()


def wrong(number: int, name: str, network: Network, rule: str, why: str, code: str | None = None) -> Case:
    """A network that cannot be run: its golden output is zeros, if it is not given."""
    if network.golden_output is None and network.ends is None:
        shape = network.output["shape"]
        assert isinstance(shape, list)
        n = 1
        for size in shape:
            n *= size
        network = network.with_(golden_output=[[0] * n for _ in network.golden])
    return refused(number, name, network, rule, why, code)


def _kinds_and_keys() -> Iterator[Case]:
    for number, kind, why in (
        (100, "lambda", "No layer runs code."), (101, "batch_normalization", "Not assigned in this version."),
        (102, "Dense", "Names are exact."), (103, 7, "A kind is a string."),
    ):  # fmt: skip
        yield wrong(number, f"kind-{kind}", TWO_PIXELS.layer(0, kind=kind), "M3-1", why)
    yield wrong(104, "kind-missing", TWO_PIXELS.layer(0, kind=None), "M3-1", "A layer without its kind.")
    for number, name, network, why in (
        (110, "bias-missing", TWO_PIXELS.layer(0, bias=None), "Every dense layer has a bias."),
        (111, "name", TWO_PIXELS.layer(0, name="fc1"), "Layers have no names."),
        (112, "activation", TWO_PIXELS.layer(0, activation="relu"), "An activation is a layer of its own."),
        (113, "weights-out-of-range", TWO_PIXELS.layer(0, weights=6), "There is no tensor 6."),
        (114, "weights-negative", TWO_PIXELS.layer(0, weights=-6), "Counting from the end."),
        (115, "weights-list", TWO_PIXELS.layer(0, weights=[0]), "A number, not a list."),
        (116, "strides-0", CONVOLUTIONS.layer(0, strides=[0, 1]), "A stride of 0 never gets on."),
        (117, "strides-17", CONVOLUTIONS.layer(0, strides=[1, 17]), "Over the limit."),
        (118, "strides-integer", CONVOLUTIONS.layer(0, strides=1), "A list of two."),
        (119, "padding-65", CONVOLUTIONS.layer(0, padding=[65, 0, 0, 0]), "Over the limit."),
        (120, "padding-negative", CONVOLUTIONS.layer(0, padding=[-1, 0, 0, 0]), "Negative."),
        (121, "padding-name", CONVOLUTIONS.layer(0, padding="same"), "Numbers, not a name."),
        (122, "crop-of-conv2d", CONVOLUTIONS.layer(0, crop=[0, 0, 0, 0]), "A key of another kind."),
        (123, "shape-empty", TWO_PIXELS.layer(2, shape=[]), "At least one axis."),
        (124, "shape-minus-1", TWO_PIXELS.layer(2, shape=[1, -1, 1]), "No size is worked out by the reader."),
        (125, "num-0", FLOAT_ENCODER.layer(0, num=0), "num is not 0."),
        (126, "num-65537", FLOAT_ENCODER.layer(0, num=65_537), "Over the limit."),
        (127, "den-0", FLOAT_ENCODER.layer(0, den=0), "A division by zero."),
        (128, "den-negative", FLOAT_ENCODER.layer(2, den=-5), "The sign stands in num."),
        (129, "shift-41", TWO_PIXELS.layer(1, shift=41), "Over the limit."),
        (130, "shift-negative", TWO_PIXELS.layer(1, shift=-1), "Negative."),
        (131, "shift-boolean", TWO_PIXELS.layer(1, shift=True), "A boolean is no integer."),
    ):
        yield wrong(number, f"layer-{name}", network, "M3-2", why)


def _inputs() -> Iterator[Case]:
    for number, name, inputs, why in (
        (135, "none", [], "One value."), (136, "two", [0, 0], "One value, not two."), (137, "own", [2], "Its own value."),
        (138, "later", [3], "A later value."), (139, "negative", [-1], "Counting from the end."), (140, "integer", 1, "A list."),
    ):  # fmt: skip
        yield wrong(number, f"inputs-{name}", TWO_PIXELS.layer(1, inputs=inputs), "M3-3", why)
    for number, name, network in (
        (145, "sigmoid-in-exact", _insert(TWO_PIXELS, 2, {"kind": "sigmoid"})),
        (146, "to-u8-in-exact", _insert(TWO_PIXELS, 2, {"kind": "to_u8"})),
        (147, "scale-in-exact", _insert(TWO_PIXELS, 0, {"kind": "scale", "num": 1, "den": 255})),
        (
            148,
            "lookup-in-float32",
            _insert(FLOAT_DECODER, 1, {"kind": "lookup", "multiplier": 1, "shift": 0, "table": 1}),
        ),
    ):
        yield wrong(number, name, network, "M3-4", "The kind does not belong to the profile.")


def _insert(network: Network, at: int, layer: dict[str, Any]) -> Network:
    return network.with_(layers=[*network.layers[:at], layer, *network.layers[at:]])


def _shapes() -> Iterator[Case]:
    limit = "limit"
    for number, name, network, why, code in (
        (150, "dense-input", TWO_PIXELS.tensor(0, shape=[3, 2], numbers=[0] * 6), "Weights for three inputs, there are two.", None),
        (151, "dense-axes", TWO_PIXELS.tensor(0, shape=[4]), "Weights with one axis.", None),
        (152, "dense-bias", TWO_PIXELS.tensor(1, shape=[1], numbers=[0]), "A bias of one for two outputs: nothing is broadcast.", None),
        (153, "dense-of-image", _insert(TWO_PIXELS, 0, {"kind": "reshape", "shape": [1, 2]}), "A dense layer takes one axis.", None),
        (154, "conv-channels", CONVOLUTIONS.tensor(0, shape=[2, 1, 2, 3]), "Weights for two channels, there is one.", None),
        (155, "conv-kernel-too-large", CONVOLUTIONS.tensor(0, shape=[5, 1, 1, 3], numbers=[1] * 15), "A kernel of five rows on four.", None),
        (156, "transpose-channels", CONVOLUTIONS.tensor(4, shape=[3, 3, 3, 2]), "The last two axes are swapped.", None),
        (157, "crop-leaves-nothing", CONVOLUTIONS.layer(2, crop=[7, 0, 0, 0]), "Seven rows of seven are cut off.", None),
        (158, "reshape-count", TWO_PIXELS.layer(2, shape=[1, 3, 1]), "Two numbers in a shape of three.", None),
        (159, "reshape-2-to-56", TWO_PIXELS.layer(2, shape=[2**28, 2**28]), "Two numbers in a shape of 2^56.", None),
        (160, "input-2-to-28-and-1", TWO_PIXELS.with_(manifest={"input": {"shape": [2**28 + 1], "type": "u8"}}),
         "An input of more than 2^28 numbers.", limit),
        (161, "input-2-to-106", TWO_PIXELS.with_(manifest={"input": {"shape": [2**53 - 1] * 2, "type": "u8"}}),
         "An input of about 2^106 numbers.", limit),
        (162, "made-2-to-28", _stretched(), "2 x 1 x 3 numbers become 16,400 x 16,401 of one channel.", limit),
        (163, "flatten-of-nothing-wrong", TWO_PIXELS.layer(2, shape=[2, 1, 1, 1, 2]), "Two numbers in a shape of four.", None),
    ):  # fmt: skip
        yield wrong(number, f"shape-{name}", network, "M3-5", why, code)


def _stretched() -> Network:
    """An input of 1,025 x 1,025 that a stride of 16 makes larger than 2^28."""
    return Network(
        input={"shape": [1_025, 1_025, 1], "type": "u8"},
        output={"shape": [1, 1, 1], "type": "u8"},
        layers=[{"kind": "conv2d_transpose", "weights": 0, "bias": 1, "strides": [16, 16], "crop": [0, 0, 0, 0]}],
        tensors=[Tensor([1, 1, 1, 1], "i8", [1]), Tensor([1], "i32", [0])],
        golden=[[0]],
        golden_output=[[0]],
        ends=[Tensor([1, 1], "u8", [0]), Tensor([1, 1, 1, 1], "u8", [0])],
    )


def _types() -> Iterator[Case]:
    dense = TWO_PIXELS.layers[0]
    plain = FLOAT_DECODER.tensors
    for number, name, network, why in (
        (170, "exact-weights-f32", TWO_PIXELS.tensor(0, type="f32"), "Exact weights are i8."),
        (171, "exact-weights-u8", TWO_PIXELS.tensor(0, type="u8", numbers=[1, 2, 3, 4]), "Exact weights are i8."),
        (172, "exact-bias-i8", TWO_PIXELS.tensor(1, type="i8", numbers=[1, 2]), "An exact bias is i32."),
        (173, "sums-into-dense", _insert(TWO_PIXELS, 0, dict(dense)), "Sums go to a lookup."),
        (174, "sums-reshaped", _insert(TWO_PIXELS, 1, {"kind": "flatten"}), "Sums go to a lookup."),
        (175, "lookup-of-u8", _insert(TWO_PIXELS, 2, dict(TWO_PIXELS.layers[1])), "A lookup takes sums."),
        (176, "float-weights-i8", FLOAT_DECODER.tensor(0, type="i8", numbers=[1] * 6), "Float weights are f32 or f16."),
        (177, "float-bias-i32", FLOAT_DECODER.tensor(1, type="i32", numbers=[1, 2]), "A float bias is f32 or f16."),
        (178, "pixels-into-conv", FLOAT_ENCODER.with_(layers=FLOAT_ENCODER.layers[1:]), "u8 must be scaled first."),
        (179, "relu-of-u8", _insert(FLOAT_ENCODER, 0, {"kind": "relu"}), "A float activation takes f32."),
        (
            180,
            "scale-of-f32",
            _insert(FLOAT_DECODER, 0, {"kind": "scale", "num": 1, "den": 2}),
            "scale takes integers.",
        ),
        (181, "to-u8-twice", _insert(FLOAT_DECODER, 2, {"kind": "to_u8"}), "to_u8 takes f32."),
    ):
        yield wrong(number, f"type-{name}", network, "M3-6", why)
    assert len(plain) == 2


def _ends() -> Iterator[Case]:
    forked = TWO_PIXELS.with_(layers=[dict(TWO_PIXELS.layers[0]), {**TWO_PIXELS.layers[0], "inputs": [0]},
                                      {**TWO_PIXELS.layers[1], "inputs": [2]}, {**TWO_PIXELS.layers[2], "inputs": [3]}])  # fmt: skip
    yield wrong(185, "value-not-used", forked, "M3-7", "The first layer's value goes nowhere.")
    for number, name, network, why in (
        (186, "output-shape", TWO_PIXELS.with_(output={"shape": [2, 1, 1], "type": "u8"}), "Two rows of one pixel, not one of two."),
        (187, "output-type", TWO_PIXELS.tensor(3, type="i8", numbers=range(18)), "The last lookup gives i8."),
        (188, "output-sums", TWO_PIXELS.with_(layers=[*CONVOLUTIONS.layers[:1]], tensors=CONVOLUTIONS.tensors[:2],
                                              input=CONVOLUTIONS.input, golden=[[0] * 4]), "The last value is sums."),
    ):  # fmt: skip
        yield wrong(number, name, network, "M3-8", why)
    yield wrong(189, "tensor-not-used", TWO_PIXELS.with_(tensors=[*TWO_PIXELS.tensors, Tensor([1], "u8", [0])]), "M3-9",
                 "Nothing uses tensor 4: a place to hide something.")  # fmt: skip


def _lookups() -> Iterator[Case]:
    for number, name, network, why in (
        (195, "type", TWO_PIXELS.tensor(2, type="u8"), "A multiplier is i32."),
        (196, "shape", TWO_PIXELS.tensor(2, shape=[3], numbers=[1, 2, 3]), "Three multipliers for two channels."),
        (197, "axes", TWO_PIXELS.tensor(2, shape=[1, 2]), "Two axes."),
        (198, "0", TWO_PIXELS.tensor(2, numbers=[15, 0]), "An entry of 0."),
        (199, "negative", TWO_PIXELS.tensor(2, numbers=[-1, 15]), "A negative entry."),
        (200, "over-2-to-24", TWO_PIXELS.tensor(2, numbers=[1, 2**24 + 1]), "One over the limit."),
    ):
        yield wrong(number, f"multiplier-{name}", network, "M4-2", why)
    for number, name, table, why in (
        (205, "odd", Tensor([17], "u8", RAMP[:17]), "17 entries: n/2 is no integer."),
        (206, "type", Tensor([18], "i32", RAMP), "A table of i32."),
        (207, "65538", Tensor([65_538], "u8", [0] * 65_538), "Two over the limit."),
        (208, "axes", Tensor([2, 9], "u8", RAMP), "Two axes."),
        (209, "1", Tensor([1], "u8", [0]), "One entry."),
    ):
        network = TWO_PIXELS.with_(tensors=[*TWO_PIXELS.tensors[:3], table])
        case = wrong(number, f"table-{name}", network, "M4-3", why)
        if number == 207:  # refused by its shape: the tensors need not be there
            network = network.with_(golden_output=[[0, 0]] * 3)
            file = network.file(tensors=False).build()
            case = bad(number, f"table-{name}", file, "M4-3", file.payload_at[0], why, folder="model")
        yield case


def _numbers() -> Iterator[Case]:
    zero = TWO_PIXELS.tensor(0, numbers=[0] * 4)
    for number, name, network, rule, why in (
        (215, "bound-2-to-31", TWO_PIXELS.tensor(1, numbers=[2**31 - 1, 0]), "M4-1", "Bias and weights together pass 2^31."),
        (216, "bound-of-minus-2-to-31", zero.tensor(1, numbers=[0, -(2**31)]), "M4-1", "The bias alone is -2^31: its absolute value counts."),
        (217, "bound-counts-padding", _padded(), "M4-1", "Six of the nine weights only ever meet padding, and count."),
        (218, "bound-of-signs", TWO_PIXELS.tensor(0, numbers=[1, 0, -1, 0]).tensor(1, numbers=[2**31 - 400, 0]), "M4-1",
         "The weights cancel out, their absolute values do not."),
        (220, "product-2-to-53", zero.tensor(1, numbers=[2**30, 0]).tensor(2, numbers=[2**23, 1]).layer(1, shift=0), "M4-4",
         "2^30 times 2^23 is 2^53, one too large."),
        (221, "product-and-half", zero.tensor(1, numbers=[2**31 - 1, 0]).tensor(2, numbers=[2**22, 1]).layer(1, shift=40), "M4-4",
         "The product is small enough, with h it is not."),
        (222, "product-of-another-channel", zero.tensor(1, numbers=[2**30, 0]).tensor(2, numbers=[1, 2**23]), "M4-4",
         "The largest multiplier belongs to a channel of zeros: the rule does not look at that."),
        (225, "weight-minus-128", TWO_PIXELS.tensor(0, numbers=[127, -128, 3, 64]), "M4-5", "A weight of -128."),
        (226, "weight-minus-128-conv", CONVOLUTIONS.tensor(4, numbers=[-128] + [0] * 53), "M4-5", "A weight of -128."),
        (230, "output-range", TWO_PIXELS.with_(output={**TWO_PIXELS.output, "range": [0, 254]}), "M4-6", "The table holds 255."),
        (231, "output-range-unused-entry", TWO_PIXELS.tensor(3, numbers=[*RAMP[:17], 3]).with_(
            output={**TWO_PIXELS.output, "range": [1, 255]}), "M4-6", "The table holds 0, whether or not a sum leads there."),
        (232, "output-range-of-to-u8", FLOAT_DECODER.with_(output={**FLOAT_DECODER.output, "range": [0, 254]}), "M4-6",
         "to_u8 can give 255."),
    ):  # fmt: skip
        yield wrong(number, name, network.with_(golden_output=_lowest(network)), rule, why)


def _lowest(network: Network) -> list[list[int]]:
    """A golden output that lies in every range used here."""
    return [[1, 1] if network.output["shape"] != [5, 4, 2] else [1] * 40 for _ in network.golden]


def _padded() -> Network:
    return Network(
        input={"shape": [1, 3, 1], "type": "u8"},
        output={"shape": [1, 2, 1], "type": "u8"},
        layers=[
            {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [1, 1, 0, 1]},
            {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
        ],
        tensors=[Tensor([3, 3, 1, 1], "i8", [1] * 9), Tensor([1], "i32", [2**31 - 255 * 9]), Tensor([1], "i32", [1]),
                 Tensor([2], "u8", [1, 2])],
        golden=[[0, 0, 0]],
    )  # fmt: skip


def _golden() -> Iterator[Case]:
    first, second = TWO_PIXELS.all_tensors[-2:]
    for number, name, ends, why in (
        (240, "input-type", [Tensor([3, 2], "i8", [0] * 6), second], "The input is u8."),
        (241, "input-shape", [Tensor([3, 1, 2], "u8", first.numbers), second], "A row has one axis."),
        (242, "output-type", [first, Tensor(second.shape, "f32", [0.0] * 6)], "The output is u8."),
        (243, "output-shape", [first, Tensor([3, 2, 1], "u8", second.numbers)], "A row has three axes."),
        (244, "other-counts", [first, Tensor([2, 1, 2, 1], "u8", second.numbers[:4])], "Three rows in, two rows out."),
        (
            245,
            "65-rows",
            [Tensor([65, 2], "u8", [0] * 130), Tensor([65, 1, 2, 1], "u8", [0] * 130)],
            "One row over the limit.",
        ),
    ):
        yield wrong(number, f"golden-{name}", TWO_PIXELS.with_(ends=ends), "M6-1", why)
    outside = CONVOLUTIONS.with_(golden=[[0, 0, 0, 101]])
    yield wrong(246, "golden-input-out-of-range", outside, "M6-1", "A golden input beyond the range.")
    high = CONVOLUTIONS.with_(golden_output=[[252] + [0] * 39 for _ in CONVOLUTIONS.golden])
    yield wrong(247, "golden-output-out-of-range", high, "M6-1", "A golden output beyond the range.")
    yield from _golden_results()


def _golden_results() -> Iterator[Case]:
    for number, name, network, why in (
        (250, "exact-off-by-1", TWO_PIXELS.with_(golden_output=_off(TWO_PIXELS, {(2, 1): 1})), "One number is off by one: exact is exact."),
        (251, "exact-encoder-off-by-1", ENCODER.with_(golden_output=_off(ENCODER, {(0, 0): -1})), "One latent is off by one."),
        (252, "float-off-by-2", FLOAT_DECODER.with_(golden_output=_off(FLOAT_DECODER, {(0, 0): 2})), "A pixel is off by two levels."),
        (253, "float-two-off-by-1", FLOAT_DECODER.with_(golden_output=_off(FLOAT_DECODER, {(0, 0): 1, (1, 1): -1})),
         "Two of four pixels are off by a level: one is allowed."),
        (254, "float-three-of-1280", MANY_PIXELS.with_(golden_output=_off(MANY_PIXELS, {(3, 4): 1, (30, 2): 1, (50, 6): 1})),
         "Three of 1,280 pixels are off by a level: two are allowed."),
        (255, "latent-off-by-2-to-minus-13", FLOAT_ENCODER.with_(golden_output=[
            [x + (2.0**-12 if (i, j) == (1, 2) else 0.0) * max(1, abs(x)) for j, x in enumerate(row)]
            for i, row in enumerate(_singles(FLOAT_ENCODER))]), "A latent is off by four times the tolerance."),
    ):  # fmt: skip
        singles = [[_nearest(x) for x in row] for row in network.golden_output or ()]
        file = network.with_(golden_output=singles).file().build()
        yield bad(number, f"golden-{name}", file, "M6-2", 0, why, folder="model")


def _off(network: Network, by: dict[tuple[int, int], int]) -> list[list[int | float]]:
    """What the network makes of its golden input, with some numbers changed."""
    rows = [network.run(row) for row in network.golden]
    return [[x + by.get((i, j), 0) for j, x in enumerate(row)] for i, row in enumerate(rows)]


def _singles(network: Network) -> list[list[int | float]]:
    return [[_nearest(x) for x in network.run(row)] for row in network.golden]


def _nearest(x: int | float) -> int | float:
    return single(x) if isinstance(x, float) else x
