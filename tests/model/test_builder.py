"""The builder: what it makes has passed every check that a file passes."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.errors import ManifestInvalid
from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from model import bases
from model.networks import note_halves

IMAGE = Endpoint((1, 2, 3), "u8")


def small() -> PackageBuilder:
    """The network of bases.exact."""
    arrays = bases.exact().arrays
    builder = PackageBuilder(role="decoder", profile="exact", input=Endpoint((4,), "u8"), output=IMAGE)
    builder.layer("dense", weights=builder.tensor(arrays[0]), bias=builder.tensor(arrays[1]))
    builder.layer("lookup", multiplier=builder.tensor(arrays[2]), shift=7, table=builder.tensor(arrays[3]))
    builder.layer("reshape", shape=(1, 2, 3))
    return builder


def golden() -> dict[str, np.ndarray]:
    return {"golden_input": bases.exact().arrays[4], "golden_output": bases.exact().arrays[5]}


def test_the_same_network_gets_the_same_model_id_however_it_is_made() -> None:
    assert small().build(**golden()).model_id == bases.exact().load().model_id


def test_the_model_id_changes_with_a_single_weight() -> None:
    builder = small()
    other = bases.exact().arrays[0].copy()
    other[3, 5] += 1
    again = PackageBuilder(role="decoder", profile="exact", input=Endpoint((4,), "u8"), output=IMAGE)
    again.layer("dense", weights=again.tensor(other), bias=again.tensor(bases.exact().arrays[1]))
    again.layer(
        "lookup", multiplier=again.tensor(bases.exact().arrays[2]), shift=7, table=again.tensor(bases.exact().arrays[3])
    )
    again.layer("reshape", shape=(1, 2, 3))

    assert builder.build(**golden()).model_id != again.build(**golden()).model_id


def test_a_name_is_not_part_of_the_model_id() -> None:
    assert small().build(**golden(), name="a").model_id == small().build(**golden(), name="b").model_id


def test_equal_tensors_are_kept_once() -> None:
    builder = PackageBuilder(role="decoder", profile="exact", input=IMAGE, output=IMAGE)
    one = builder.tensor(np.zeros(3, np.int32))

    assert builder.tensor(np.zeros(3, ">i4")) == one
    assert builder.tensor(np.zeros(3, np.float32)) != one
    assert builder.tensor(np.zeros((3, 1), np.int32)) != one


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint16, bool])
def test_a_type_that_no_tensor_has_is_a_mistake(dtype: type) -> None:
    with pytest.raises(TypeError, match="no tensor type"):
        small().tensor(np.zeros(2, dtype))


def test_a_scalar_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="axis"):
        small().tensor(np.float32(1) + np.zeros((), np.float32))


def test_what_breaks_a_rule_is_not_built() -> None:
    builder = small()
    builder.layer("flatten")
    builder.layer("sigmoid")

    with pytest.raises(ManifestInvalid) as caught:
        builder.build(**golden())

    assert caught.value.rule == "M3-4"


def test_the_golden_output_can_be_computed_from_a_draft() -> None:
    """The draft is the same network; its stand-in for a golden output does not stay in the package."""
    seen: list[ModelPackage] = []

    def compute(draft: ModelPackage) -> np.ndarray:
        seen.append(draft)
        return draft.golden_output + 7

    builder = small()
    package = builder.build(golden_input=golden()["golden_input"], golden_output=compute)

    assert (package.golden_output == 7).all()
    assert len(package.tensors) == len(seen[0].tensors) == 6
    assert package.model_id == builder.build(golden_input=golden()["golden_input"], golden_output=compute).model_id


def test_tensors_are_read_only_and_in_this_machines_byte_order() -> None:
    package = small().build(**golden())

    assert all(tensor.dtype.isnative and not tensor.flags.writeable for tensor in package.tensors)
    with pytest.raises(ValueError, match="read-only"):
        package.tensors[0][0, 0] = 1


@pytest.mark.parametrize(("profile", "expected"), [("exact", 109_456), ("float32", 109_456)])
def test_parameters_are_weights_and_biases(profile: str, expected: int) -> None:
    """The note counts 109,456 for its 64-128-784 decoder; tables and multipliers are no parameters."""
    _, decoder = note_halves(profile)

    assert decoder.n_params == expected
    assert decoder.n_multiply_adds == 64 * 128 + 128 * 784
