"""Tensors that do not keep what the manifest promises: each is refused by the rule it breaks (sections 1, 4 and 6)."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from aeformat.container import assigned
from aeformat.container.chunk_writer import ContainerWriter
from aeformat.container.header import ModelHeader
from aeformat.errors import ContentMismatch, FormatError, LimitExceeded, ManifestInvalid, StructureInvalid
from aeformat.model.file_io import read_package
from aeformat.model.manifest import model_id
from model import bases
from model.bases import Base, little
from model.test_hostile_manifests import Change, array, both, put

ZERO = np.zeros(6, np.int32)

# name: (a valid manifest, what is done to it, the rule it breaks)
CASES: dict[str, tuple[Callable[[], Base], Change, str]] = {
    "sums that reach 2^31": (bases.exact, array(1, ZERO + (2**31 - 1)), "M4-1"),
    "a bias of -2^31": (
        bases.exact,
        both(array(0, np.zeros((4, 6), np.int8)), array(1, ZERO + np.int32(-(2**31)))),
        "M4-1",
    ),
    "a multiplier of 0": (bases.exact, array(2, np.array([0], np.int32)), "M4-2"),
    "a negative multiplier": (bases.exact, array(2, np.array([1, 1, 1, 1, 1, -1], np.int32)), "M4-2"),
    "a multiplier of 2^24 + 1": (bases.exact, array(2, np.array([2**24 + 1], np.int32)), "M4-2"),
    "a product that reaches 2^53": (
        bases.exact,
        both(array(1, ZERO + 2**29), array(2, np.array([2**24], np.int32))),
        "M4-4",
    ),
    "a half step that reaches 2^53": (
        bases.exact,
        both(
            array(0, np.zeros((4, 6), np.int8)),
            array(1, ZERO + (2**29 - 2**15 + 1)),
            array(2, ZERO + 2**24),
            put("layers.1.shift", 40),
        ),
        "M4-4",
    ),
    "a weight of -128": (bases.exact, array(0, np.full((4, 6), -128, np.int8)), "M4-5"),
    "pixels outside the range": (bases.exact, put("output.range", [0, 254]), "M4-6"),
    "latents outside the range": (bases.encoder, put("output.range", [-127, 127]), "M4-6"),
    "pixels of to_u8 outside the range": (bases.float32, put("output.range", [0, 254]), "M4-6"),
    "golden input outside the range": (bases.exact, put("input.range", [1, 200]), "M6-1"),
    "weights of NaN": (bases.float32, array(0, np.full((4, 6), np.nan, np.float32)), "M1-6"),
    "a bias of infinity": (bases.float32, array(1, np.full(6, np.inf, np.float16)), "M1-6"),
    "golden input of NaN": (bases.float32, array(2, np.full((2, 4), np.nan, np.float32)), "M1-6"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_numbers_that_break_a_rule_are_refused_by_it(name: str) -> None:
    make, change, rule = CASES[name]
    base = make()
    change(base)

    with pytest.raises(ManifestInvalid) as caught:
        base.load()

    assert caught.value.rule == rule, caught.value


def test_the_largest_numbers_that_are_allowed_are() -> None:
    """One below the bounds of M4-1, M4-2, M4-4 and M4-5 is fine."""
    base = bases.exact()
    array(0, np.full((4, 6), -127, np.int8))(base)
    array(1, ZERO + (2**29 - 1 - 4 * 127 * 255))(base)
    array(2, np.array([2**24], np.int32))(base)

    step = base.load().plan[0]

    assert step.bound == 2**29 - 1


def test_a_table_narrows_what_the_next_layer_must_expect() -> None:
    """The bound of a layer follows from the entries of the table before it, not from the type."""
    base = bases.convolution()
    array(3, np.arange(256, dtype=np.uint8) // 64)(base)

    package = base.load()

    assert package.plan[1].interval.hi == 3
    assert package.plan[2].bound == 2 * 2 * 3 * 3


def container(
    base: Base, *, tensors: list[bytes] | None = None, model: bytes | None = None, trailer: bytes | None = None
) -> bytes:
    sink = io.BytesIO()
    data = base.to_bytes()
    out = ContainerWriter(sink, ModelHeader(model=model or model_id(data)))
    out.chunk(assigned.MANIFEST, data)
    for payload in tensors if tensors is not None else [little(a) for a in base.arrays]:
        out.chunk(assigned.TENSOR, payload)
    out.trailer(trailer or model or model_id(data))
    return sink.getvalue()


def payloads(base: Base) -> list[bytes]:
    return [little(array) for array in base.arrays]


def test_the_container_of_a_base_is_read() -> None:
    assert read_package(container(bases.exact())).n_params == 30


def changed(at: int, value: bytes) -> list[bytes]:
    made = payloads(bases.exact())
    made[at] = value
    return made


def with_tensors(tensors: list[bytes]) -> bytes:
    return container(bases.exact(), tensors=tensors)


WHOLE = payloads(bases.exact())

FILES: dict[str, tuple[Callable[[], bytes], type[FormatError], str]] = {
    "another model id in the header": (lambda: container(bases.exact(), model=b"x" * 32), ManifestInvalid, "M1-2"),
    "another content id in the trailer": (lambda: container(bases.exact(), trailer=b"x" * 32), ContentMismatch, "M1-2"),
    "a tensor is missing": (lambda: with_tensors(WHOLE[:-1]), StructureInvalid, "M1-3"),
    "a tensor too many": (lambda: with_tensors([*WHOLE, b"x"]), StructureInvalid, "M1-3"),
    "a tensor too short": (lambda: with_tensors(changed(0, bytes(23))), ManifestInvalid, "M1-4"),
    "a tensor too long": (lambda: with_tensors(changed(0, bytes(25))), ManifestInvalid, "M1-4"),
    "another tensor": (lambda: with_tensors(changed(0, bytes(24))), ManifestInvalid, "M1-5"),
    "tensors swapped": (lambda: with_tensors(changed(2, WHOLE[1])), ManifestInvalid, "M1-5"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_whose_tensors_do_not_fit_is_refused(name: str) -> None:
    make, error, rule = FILES[name]

    with pytest.raises(FormatError) as caught:
        read_package(make())

    assert (type(caught.value), caught.value.rule) == (error, rule), caught.value


def test_work_above_the_callers_cap_is_refused_before_a_tensor_is_read() -> None:
    """M7-1: 4 x 6 products, and 6 numbers from each of three layers."""
    data = container(bases.exact(), tensors=[b"x"] * 6)

    with pytest.raises(LimitExceeded) as caught:
        read_package(data, max_work=41)

    assert caught.value.rule == "M7-1"
    assert read_package(container(bases.exact()), max_work=42).n_multiply_adds == 24
