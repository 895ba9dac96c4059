"""What an ONNX file cannot be imported for is said in one line, with the names of its operators; and nothing of it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeformat.cli.advice import describe
from aeformat.errors import UsageError
from aeformat.exchange import onnx_file
from aeformat.exchange.imports import Options
from aeformat.exchange.onnx_import import import_onnx
from exchange.needs import needed

needed("onnx")
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from exchange import onnx_nets as nets  # noqa: E402


def refusal(path: Path, bottleneck: str = "z", **more: Any) -> str:
    with pytest.raises(UsageError) as caught:
        import_onnx(Options(path, bottleneck, "net", **more))
    what = describe(caught.value)
    assert what.startswith(str(path)) and what.count(str(path)) == 1 and "\n" not in what
    return what


def _op(op: str, *constants: Any, **attributes: Any) -> nets.Part:
    return lambda net, x: net.op(op, x, *(net.constant(one) for one in constants), **attributes)


def _times_itself(net: nets.Net, x: str) -> str:
    return net.op("Mul", x, net.op("Relu", net.conv(x, 4, 4)))


def _gated(net: nets.Net, x: str) -> str:
    return net.op("Mul", x, net.op("Sigmoid", net.op("GlobalAveragePool", x)))


def _crossing_sum(net: nets.Net, x: str) -> str:
    return net.op("Add", x, net.op("GlobalAveragePool", x))


# name: (a part of the network, a part of the line)
NO_FORM: dict[str, tuple[nets.Part, str]] = {
    "instance norm": (_op("InstanceNormalization", np.ones(4), np.ones(4)), "(InstanceNormalization: its factors depend on the image; train with BatchNorm2d"),
    "layer norm": (_op("LayerNormalization", np.ones((4, 8, 8)), axis=1), "(LayerNormalization: its factors depend"),
    "softmax": (_op("Softmax", axis=1), "(Softmax: not in the registry of layers)"),
    "mish": (_op("Mish"), "(Mish: a function that the registry has no form for, by itself or with what follows it)"),
    "hard swish": (_op("HardSwish"), "(HardSwish: a function"),
    "an approximate gelu": (_op("Gelu", approximate="tanh"), '(Gelu: approximate "tanh"; there is the exact one'),
    "a power": (_op("Pow", 2.0), "(Pow: a function that"),
    "a function of a function": (lambda net, x: net.op("Sqrt", net.op("Exp", x)), "(Exp: a function that"),
    "two pieces of another function": (lambda net, x: net.op("Where", net.op("Less", x, net.constant(0.5)), x, net.op("Tanh", x)), "(Less: a function that"),
    "a choice between two values": (lambda net, x: net.op("Where", net.op("Less", x, net.constant(0.5)), x, net.conv(x, 4, 4)), "(Less: a function that"),
    "a gate": (_gated, "(Mul: multiplies two values that depend on the image)"),
    "a product": (_times_itself, "(Mul: multiplies two values that depend on the image)"),
    "a sum that is broadcast": (_crossing_sum, "(Add: takes [4, 8, 8] and [4, 1, 1]; here all have one shape)"),
    "bilinear": (lambda net, x: net.op("Resize", x, "", net.constant([1, 1, 2, 2]), mode="linear"), "(Resize: mode linear; there is nearest)"),
    "half a pixel to the left": (lambda net, x: net.op("Resize", x, "", net.constant([1, 1, 2, 2]), mode="nearest", nearest_mode="ceil"), "(Resize: nearest in another way (half_pixel, ceil)"),
    "a smaller image": (lambda net, x: net.op("Resize", x, "", net.constant([1, 1, 0.5, 0.5]), mode="nearest"), "(Resize: scales [1.0, 1.0, 0.5, 0.5]; there are whole numbers"),
    "reflections": (lambda net, x: net.op("Pad", x, net.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"), "(Pad: mode reflect; there is constant)"),
    "every second place": (lambda net, x: net.op("Slice", x, net.ints(0), net.ints(8), net.ints(2), net.ints(2)), "(Slice: takes every 2th place)"),
    "rows of other images": (lambda net, x: net.op("Reshape", x, net.ints(-1, 1, 8, 8)), "(Reshape: moves numbers between rows: it makes [4, 1, 8, 8] of [1, 4, 8, 8])"),
    "the row axis moved": (_op("Transpose", perm=[1, 0, 2, 3]), "(Transpose: moves the row axis"),
    "quantised": (lambda net, x: net.op("DequantizeLinear", net.op("QuantizeLinear", x, net.constant(0.1)), net.constant(0.1)), "(QuantizeLinear: quantised; export it before"),
    "weights that depend on the image": (lambda net, x: net.op("Conv", x, net.op("Reshape", x, net.ints(4, 4, 4, 4))), "(Reshape: moves numbers between rows"),
    "a norm in training mode": (lambda net, x: net.op("BatchNormalization", x, *(net.constant(np.ones(4)) for _ in range(4)), training_mode=1), "in training mode; export model.eval()"),
    "weights that are no numbers": (lambda net, x: net.op("Conv", x, net.constant(np.full((4, 4, 1, 1), np.nan))), "(Conv: holds NaN or infinity"),
    "numbers that draw, not around 0": (lambda net, x: net.op("Add", x, net.op("RandomNormalLike", x, mean=1.0)), "(RandomNormalLike: draws at random; give the mean"),
    "an operator there is none": (lambda net, x: net.op("Frobnicate", x), "(Frobnicate: not in the registry of layers)"),
    "three axes": (lambda net, x: net.op("Conv", net.op("Reshape", x, net.ints(0, 4, 64)), net.random(4, 4, 3)), "(Conv: weights of shape [4, 4, 3]; here images have rows and columns)"),
    "a join with a constant": (lambda net, x: net.op("Concat", x, net.constant(np.ones((1, 1, 8, 8))), axis=1), "(Concat: joins a constant"),
    "numbers in another order": (lambda net, x: net.op("Reshape", net.op("Relu", net.op("Transpose", net.op("Reshape", net.conv(x, 4, 64), net.ints(0, 64, 64)), perm=[0, 2, 1])), net.ints(0, 64, 8, 8)), "needs 4,096 numbers in another order"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_FORM)
def test_what_has_no_form_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    part, what = NO_FORM[name]
    net = nets.autoencoder(part)

    said = refusal(net.save(tmp_path / "net.onnx", "y", "z"))

    assert what in said, said
    assert "'/" in said  # the node's name


def test_all_that_has_no_form_is_named_at_once(tmp_path: Path) -> None:
    def parts(net: nets.Net, x: str) -> str:
        x = net.op("Mish", net.op("Softmax", x, axis=1))
        return net.op("Relu", net.op("InstanceNormalization", x, net.constant(np.ones(4)), net.constant(np.ones(4))))

    said = refusal(nets.autoencoder(parts).save(tmp_path / "net.onnx", "y", "z"))

    for op in ("Softmax", "InstanceNormalization"):
        assert f"({op}: " in said
    assert "spec/model.md, section 3, lists what has one" in said


def _no_latents_behind(net: nets.Net) -> None:
    net.op("Sigmoid", net.conv("x", 1, 1), made="y")
    net.conv("x", 1, 2, made="z")


def _around(net: nets.Net) -> None:
    first = net.conv("x", 1, 2)
    z = net.conv(first, 2, 2, made="z")
    net.op("Sigmoid", net.conv(net.op("Add", first, z), 2, 1), made="y")


def _two(net: nets.Net) -> None:
    net.op("Sigmoid", net.conv(net.conv("x", 1, 2, made="z"), 2, 1), made="y")
    net.op("Relu", "z", made="other")


def _no_image(net: nets.Net) -> None:
    net.op("Sigmoid", net.conv(net.conv("x", 1, 2, made="z"), 2, 5), made="y")


# name: (the network, outputs, bottleneck, part of the line)
NO_AUTOENCODER: dict[str, tuple[Callable[[nets.Net], None], tuple[str, ...], str, str]] = {
    "a bottleneck that is not there": (_two, ("y",), "q", "has no value 'q'; it has y, "),
    "the input for a bottleneck": (_two, ("y",), "x", "the bottleneck 'x' is the input itself, or a constant"),
    "weights for a bottleneck": (_two, ("y",), "c0", "the bottleneck 'c0' is the input itself, or a constant"),
    "a bottleneck that leads nowhere": (_no_latents_behind, ("y", "z"), "z", "no output is made from the bottleneck 'z'; the outputs are y, z"),
    "two outputs": (_two, ("y", "other"), "z", "2 outputs are made from the bottleneck 'z': y, other; export only the image"),
    "a skip connection": (_around, ("y",), "z", "a skip connection goes around the bottleneck '"),
    "no image": (_no_image, ("y",), "z", "the network makes [5, 8, 8], which is no image like its input [8, 8, 1]"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_AUTOENCODER)
def test_what_cannot_be_cut_is_refused(tmp_path: Path, name: str) -> None:
    build, outputs, bottleneck, what = NO_AUTOENCODER[name]
    net = nets.Net()
    build(net)

    assert what in refusal(net.save(tmp_path / "net.onnx", *outputs), bottleneck)


def test_a_bottleneck_may_be_named_by_its_node(tmp_path: Path) -> None:
    path = nets.dense().save(tmp_path / "net.onnx", "y")

    assert import_onnx(Options(path, "/Gemm_2", "net")).encoder.output.shape == (5,)


# Free sizes that have no form.

ANY_SIZE = {
    "a pool": (lambda net, x: net.up(net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 4, 4), "rule M3-10"),
    "a convolution without padding": (lambda net, x: net.up(net.conv(x, 4, 4, pads=[0] * 4, strides=[2, 2]), 4, 4), "rule M3-11"),
    "numbers for each place": (lambda net, x: net.op("Add", x, net.constant(np.ones((1, 4, 192, 192)))), "(Add: a constant of another shape"),
    "channels that depend on the size": (
        lambda net, x: net.op("Mul", x, net.op("Cast", net.op("Gather", net.op("Shape", x), net.constant(2, np.int64)), to=1)),
        "its layers depend on the size of the image",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANY_SIZE)
def test_a_network_that_cannot_be_of_any_size_says_why(tmp_path: Path, name: str) -> None:
    part, what = ANY_SIZE[name]
    net = nets.Net(shape=("n", 1, "h", "w"))
    x = part(net, net.op("Relu", net.conv("x", 1, 4)))
    net.op("Sigmoid", net.conv(net.conv(x, 4, 2, made="z"), 2, 1), made="y")
    path = net.save(tmp_path / "net.onnx", "y", "z")

    said = refusal(path)

    assert what in said, said
    if "rule" in what or "size" in what:
        assert "--image HxWxC" in said
        if "rule M3-10" in what:
            assert import_onnx(Options(path, "z", "net", image=(8, 8, 1))).encoder.input.shape == (8, 8, 1)


# Files.


def _plain() -> Any:
    return nets.autoencoder(nets.POINTWISE["relu"]).model("y", "z")


def _custom(model: Any) -> None:
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _function(model: Any) -> None:
    made = helper.make_function(
        "com.example", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 20)]
    )
    model.functions.append(made)


def _branch(model: Any) -> None:
    inner = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["inside"])], "g", [], [helper.make_empty_tensor_value_info("inside")]
    )
    model.graph.node.append(helper.make_node("If", ["c0"], ["out"], then_branch=inner, else_branch=inner, name="/If"))


def _external(**entry: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entry.items():
            one = tensor.external_data.add()
            one.key, one.value = key, value

    return change


def _huge(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [1 << 20, 1 << 20, 1, 1]


def _short(model: Any) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def _many(model: Any) -> None:
    model.graph.node.extend([model.graph.node[1]] * 10_001)


def _large_constant(model: Any) -> None:
    """A few bytes that ask for 2^40 numbers."""
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray([1 << 40], np.int64), "shape"))
    made = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"], name="/big"),
        helper.make_node("ReduceSum", ["big"], ["one"]),
        helper.make_node("Mul", ["x", "one"], ["times"]),
    ]
    model.graph.node[0].input[0] = "times"
    nodes = [*made, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _before_the_first(model: Any, nodes: list[Any], last: str) -> None:
    """The image times a constant that these nodes make."""
    model.graph.node[0].input[0] = "times"
    nodes = [
        *nodes,
        helper.make_node("ReduceSum", [last], ["one"]),
        helper.make_node("Mul", ["x", "one"], ["times"]),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _doubling(model: Any) -> None:
    nodes = [helper.make_node("Concat", [f"d{i}", f"d{i}"], [f"d{i + 1}"], axis=0) for i in range(40)]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(8, np.float32), "d0"))
    _before_the_first(model, nodes, "d40")


def _many_constants(model: Any) -> None:
    """A few bytes each, and many of them."""
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray([1 << 23], np.int64), "size"))
    nodes = [helper.make_node("ConstantOfShape", ["size"], [f"d{i}"]) for i in range(40)]
    sums = [helper.make_node("Add", [f"d{i}", f"d{i + 1}" if not i else f"s{i - 1}"], [f"s{i}"]) for i in range(40)]
    _before_the_first(model, [*nodes, *sums], "s39")


def _chain(model: Any) -> None:
    nodes = [helper.make_node("Exp", ["x" if not i else f"e{i - 1}"], [f"e{i}"], name=f"/exp_{i}") for i in range(1200)]
    model.graph.node[0].input[0] = "e1199"
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _depthwise(model: Any) -> None:
    """65,536 channels of their own kernels, of 1 x 1."""
    weights = np.ones((1 << 16, 1, 1, 1), np.float32)
    names = ("wide", "each", "back")
    tensors = (weights, weights, weights.reshape(1, -1, 1, 1))
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(one, name) for name, one in zip(names, tensors, strict=True)
    )
    nodes = [
        helper.make_node("Conv", ["x", "wide"], ["w1"]),
        helper.make_node("Conv", ["w1", "each"], ["w2"], group=1 << 16, name="/each"),
        helper.make_node("Conv", ["w2", "back"], ["w3"]),
    ]
    model.graph.node[0].input[0] = "w3"
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _twice(model: Any) -> None:
    model.graph.node[2].output[0] = model.graph.node[1].output[0]


def _later(model: Any) -> None:
    model.graph.node[0].input[0] = "y"


def _two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.FLOAT, [1, 4]))


def _text(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def _opset(n: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.opset_import[0].version = n

    return change


def _sequence(model: Any) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1]))


# name: (what is done to a good model, part of the line)
BAD_FILES: dict[str, tuple[Callable[[Any], None], str]] = {
    "an operator of somebody's own": (_custom, "'/Tanh_1' is the operator com.example.Tanh, which is not ONNX's own"),
    "functions": (_function, "has functions of its own ('f')"),
    "control flow": (_branch, "'/If' (If) decides at run time what is computed"),
    "a path to another folder": (_external(location="../secret"), "lies in '../secret'; only a file beside this one is read"),
    "an absolute path": (_external(location="/etc/passwd"), "lies in '/etc/passwd'"),
    "a path of Windows": (_external(location="..\\secret"), "only a file beside this one is read"),
    "no location": (_external(), "lies in ''"),
    "a file that is not there": (_external(location="gone.data"), "gone.data': no such file"),
    "a folder": (_external(location="folder"), "the numbers of 'c0': "),
    "a link": (_external(location="link.data"), "'link.data' is a link"),
    "a place outside of the file": (_external(location="good.data", offset="4000", length="144"), "good.data' ends before them"),
    "a place before the file": (_external(location="good.data", offset="-4"), "has no place in its file"),
    "too few bytes": (_external(location="good.data", offset="0", length="4"), "does not hold the numbers that its shape and type say"),
    "the wrong number of bytes": (_external(location="good.data", offset="0", length="160"), "does not hold the numbers that its shape and type say"),
    "a tensor of a terabyte": (_huge, "has the impossible shape"),
    "a tensor cut short": (_short, "does not hold the numbers"),
    "ten thousand operators": (_many, "up to 10,000 are taken"),
    "a constant of a terabyte": (_large_constant, "(ConstantOfShape: makes 1,099,511,627,776 numbers of constants"),
    "constants that double": (_doubling, "numbers of constants, up to 16,777,216 are taken"),
    "many large constants": (_many_constants, "make too many constants"),
    "a chain of functions": (_chain, "(Exp: "),
    "weights of a terabyte, nearly all zeros": (_depthwise, "bytes of weights, zeros between groups and places counted"),
    "a value made twice": (_twice, "which is there already"),
    "a circle": (_later, "'/Conv_0' (Conv) takes 'y', which nothing before it makes"),
    "two inputs": (_two_inputs, "takes 2 inputs ('x', 'text'); here it takes one, the image"),
    "an input of whole numbers": (_text, "is int64; an image is"),
    "an input that is no tensor": (_sequence, "the input 'x' is no tensor"),
    "an opset of the future": (_opset(99), "is of opset 99"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_and_hostile_files_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    change, what = BAD_FILES[name]
    model = _plain()
    change(model)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "good.data").write_bytes(bytes(1000))
    (tmp_path / "folder").mkdir()
    if name == "a link":
        try:
            (tmp_path / "link.data").symlink_to(tmp_path / "good.data")
        except OSError:
            pytest.skip("no links on this machine")

    assert what in refusal(path), refusal(path)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x08" * 100, None], ids=["empty", "text", "zeros", "no file"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "net.onnx"
    if data is not None:
        path.write_bytes(data)

    assert ("is no ONNX file" if data is not None else "no such file") in refusal(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = _plain().SerializeToString()
    for n in range(0, len(whole) - 1, 97):
        (tmp_path / "net.onnx").write_bytes(whole[:n])
        refusal(tmp_path / "net.onnx")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 1000)
    path = nets.dense().save(tmp_path / "net.onnx", "y")

    assert "up to 1,000 are taken" in refusal(path)


def test_numbers_beside_the_file_are_read(tmp_path: Path) -> None:
    """As PyTorch's exporter writes them: the same packages as with the numbers inside."""
    inside = nets.dense().save(tmp_path / "inside.onnx", "y", "z")
    model = onnx.load(inside)
    onnx.save(model, tmp_path / "beside.onnx", save_as_external_data=True, location="beside.data", size_threshold=0)
    assert (tmp_path / "beside.data").stat().st_size > 1000

    made = [import_onnx(Options(path, "z", "net")) for path in (inside, tmp_path / "beside.onnx")]

    assert made[0].encoder.model_id == made[1].encoder.model_id
