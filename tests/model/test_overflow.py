"""A package whose sums could leave the range in which they are exact is refused when it is made and when it is read.

Both sides get the same numbers: the exporter's builder, and a file that was put together byte by byte without it.  What is
just allowed passes both, and is computed exactly by NumPy on the inputs that bring the sums to their bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.tensorflow_backend import TensorflowBackend
from aeformat.errors import ManifestInvalid
from aeformat.model.bounds import FLOAT32_EXACT
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import read_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.values import DTYPES
from tools.build_vectors.network import Network, Tensor

LOUDEST = [[255, 255], [255, 0], [0, 255], [0, 0]]
TABLE = [0, 40, 80, 120, 160, 255]


def network(*, weights: list[int], bias: list[int], multiplier: int = 1, shift: int = 40) -> Network:
    """Two u8 -> dense, lookup -> two u8."""
    return Network(
        input={"shape": [2], "type": "u8"}, output={"shape": [1, 2, 1], "type": "u8"},
        layers=[
            {"kind": "dense", "weights": 0, "bias": 1},
            {"kind": "lookup", "multiplier": 2, "shift": shift, "table": 3},
            {"kind": "reshape", "shape": [1, 2, 1]},
        ],
        tensors=[
            Tensor([2, 2], "i8", weights), Tensor([2], "i32", bias), Tensor([1], "i32", [multiplier]),
            Tensor([len(TABLE)], "u8", TABLE),
        ],
        golden=LOUDEST,
    )  # fmt: skip


def exported(net: Network) -> ModelPackage:
    """As every exporter makes one."""
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((2,), "u8"), output=Endpoint((1, 2, 1), "u8")
    )
    tensors = [builder.tensor(np.array(t.numbers, DTYPES[t.type]).reshape(t.shape)) for t in net.tensors]
    for layer in net.layers:
        keys = {key: value for key, value in layer.items() if key != "kind"}
        for key in ("weights", "bias", "multiplier", "table"):
            if key in keys:
                keys[key] = tensors[keys[key]]
        builder.layer(layer["kind"], **keys)
    made = np.array([net.run(row) for row in LOUDEST], np.uint8).reshape(-1, 1, 2, 1)
    return builder.build(golden_input=np.array(LOUDEST, np.uint8), golden_output=made)


def read(net: Network) -> ModelPackage:
    """From a file that the package had no hand in."""
    return read_package(net.file().build().data)


SIDES: dict[str, Callable[[Network], ModelPackage]] = {"export": exported, "load": read}
PLAIN = [1, 0, 0, -1]  # each sum is one input, plus its bias
TOP = 2**31 - 255  # the bias that takes a sum to 2^31
REFUSED = {
    "a sum of 2^31": (network(weights=PLAIN, bias=[TOP, 0]), "M4-1"),
    "a sum of -2^31": (network(weights=PLAIN, bias=[0, -TOP]), "M4-1"),
    "weights that cancel, a bias at the edge": (network(weights=[1, 0, -1, 0], bias=[TOP - 255, 0]), "M4-1"),
    "the last of all weights": (network(weights=[127, 127, 127, 127], bias=[0, 2**31 - 2 * 127 * 255]), "M4-1"),
    "a product of 2^53": (network(weights=[0] * 4, bias=[2**30, 0], multiplier=2**23, shift=0), "M4-4"),
    "a product of 2^53 with its half": (
        network(weights=[0] * 4, bias=[2**31 - 1, 0], multiplier=2**22, shift=23),
        "M4-4",
    ),
}
ALLOWED = {
    "a sum of 2^31 - 1": network(weights=PLAIN, bias=[TOP - 1, -(TOP - 1)], multiplier=3, shift=33),
    "a sum of 2^24, so in float64": network(weights=[1, 0, 0, -1], bias=[2**24 - 255, -(2**24 - 255)], shift=23),
    "a sum of 2^24 - 1, so in float32": network(weights=[1, 0, 0, -1], bias=[2**24 - 256, -(2**24 - 256)], shift=22),
    "a product of 2^53 - 2^23": network(weights=[0] * 4, bias=[2**30 - 1, 1 - 2**30], multiplier=2**23, shift=0),
    "a product of 2^53 - 2^21": network(weights=[0] * 4, bias=[2**31 - 1, 0], multiplier=2**22, shift=22),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", REFUSED)
def test_what_could_overflow_is_refused(case, side):
    """By the same rule on both sides, and no package comes of it."""
    net, rule = REFUSED[case]

    with pytest.raises(ManifestInvalid) as caught:
        SIDES[side](net)

    assert caught.value.rule == rule, caught.value


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", ALLOWED)
def test_what_just_cannot_overflow_is_computed_exactly(case, side):
    """The golden set, made in Python's own integers, comes out bit for bit with the loudest inputs there are."""
    package = SIDES[side](ALLOWED[case])

    made = NumpyBackend().load(package).run(package.golden_input)

    assert np.array_equal(made, package.golden_output)
    assert exported(ALLOWED[case]).model_id == package.model_id


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
@pytest.mark.parametrize("n", [518, 60_000])
def test_sums_that_rise_high_and_come_back_are_exact(n, backend, request):
    """Half the weights are 127, half -127: the bound decides between float32 (n = 518) and float64, not the result."""
    if backend == "tensorflow":
        request.getfixturevalue("tensorflow")
    rng = np.random.default_rng(n)
    weights = np.where(np.arange(n) < n // 2, 127, -127).astype(np.int8)
    rows = np.concatenate([np.full((1, n), 255, np.uint8), rng.integers(240, 256, (7, n), np.uint8)])
    rows[1:, n // 2 :] = rows[1:, : n // 2][:, ::-1]  # the second half takes back what the first has added
    rows[1:, -1] -= np.arange(7, dtype=np.uint8)
    sums = [sum(int(x) * int(w) for x, w in zip(row, weights, strict=True)) for row in rows]  # Python's own integers
    wanted = [min(max(s + 1_000, 0), 1_999) % 251 for s in sums]
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((n,), "u8"), output=Endpoint((1, 1, 1), "u8")
    )
    builder.layer("dense", weights=builder.tensor(weights[:, None]), bias=builder.tensor(np.zeros(1, np.int32)))
    table = builder.tensor((np.arange(2_000) % 251).astype(np.uint8))
    builder.layer("lookup", multiplier=builder.tensor(np.ones(1, np.int32)), shift=0, table=table)
    builder.layer("reshape", shape=(1, 1, 1))

    package = builder.build(golden_input=rows, golden_output=np.array(wanted, np.uint8).reshape(-1, 1, 1, 1))

    assert (package.plan[0].bound < FLOAT32_EXACT) == (n == 518)
    made = (NumpyBackend() if backend == "numpy" else TensorflowBackend()).load(package).run(rows)
    assert made.ravel().tolist() == wanted
