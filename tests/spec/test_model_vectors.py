"""Promise: a model package computes what its vector says, and a broken one is refused by its own rule."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aeformat.backends.base import array_type
from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import FormatError, GoldenMismatch, LimitExceeded, ValueInvalid
from aeformat.model.file_io import package_bytes, read_package
from aeformat.validator import validate

from .reading import read_forward
from .vectors import Vector, cases, every_feed


@every_feed
@cases("model/valid")
def test_valid_package_reads_to_its_json(case: Vector, feed: str) -> None:
    """Identity, roles and endpoints are those of the JSON, however the bytes arrive."""
    want = case.expected

    got = read_forward(case.feed(feed))

    package, trailer = got.package, got.trailer
    assert package is not None and trailer is not None
    decoder = package.manifest.decoder
    assert {
        "model_id": package.model_id.hex(), "role": package.role, "profile": package.profile,
        "decoder": None if decoder is None else decoder.hex(), "input": package.input.to_map(),
        "output": package.output.to_map(), "n_chunks": trailer.n_chunks, "n_tensors": len(package.tensors),
    } == {key: want[key] for key in want if key not in _COMPUTED}  # fmt: skip
    assert trailer.content_id == package.model_id


_COMPUTED = (
    "about",
    "rules",
    "kind",
    "rows_in",
    "rows_out",
    "rows_refused",
    "work",
    "file_work",
    "format",
    "sizes_in",
    "sizes_out",
)


@cases("model/valid")
def test_valid_package_computes_its_rows(case: Vector) -> None:
    """rows_in gives rows_out (M4-7, M5-1, M5-2), rows_refused is refused, and the golden set comes out right (M6-2)."""
    want = case.expected
    package = read_package(case.data)
    network = NumpyBackend().load(package)

    check(package)
    made = [network.run(_row(package, row)).reshape(-1) for row in want["rows_in"] if "sizes_in" not in want]
    for row, size, image in zip(want["rows_in"], want.get("sizes_in", []), want.get("sizes_out", []), strict=False):
        latents = np.array(row, array_type(package.input)).reshape(1, *size, package.input.shape[2])
        got = network.run(latents) if package.role == "encoder" else network.run(latents, tuple(image))
        assert list(got.shape[1:3]) == image
        made.append(got.reshape(-1))

    for got, row in zip(made, want["rows_out"], strict=True):
        if package.profile == "exact":
            assert got.tolist() == row
        elif package.output.type == "f32":
            assert np.allclose(got, row, rtol=2**-14, atol=2**-14)
        else:
            assert np.abs(got.astype(int) - row).max() <= 1
    for row in want["rows_refused"]:
        with pytest.raises(ValueInvalid, match="M4-7"):
            network.run(_row(package, row))


def _row(package, row):  # type: ignore[no-untyped-def]
    return np.array(row, array_type(package.input)).reshape(1, *package.input.shape)


@cases("model/valid")
def test_work_is_what_the_cap_counts(case: Vector) -> None:
    """M7-1: a cap of exactly the work lets the package through, one less does not."""
    work = case.expected["work"]

    read_package(case.data, max_work=work)
    with pytest.raises(LimitExceeded) as caught:
        read_package(case.data, max_work=work - 1)

    assert caught.value.rule == "M7-1"


@cases("model/valid")
def test_package_keeps_its_id_through_the_package_s_own_writer(case: Vector) -> None:
    """The model id does not depend on who wrote the container, or how (M1-2)."""
    package = read_package(case.data)

    for codec in ("none", "zstd"):
        assert read_package(package_bytes(package, codec=codec)).model_id.hex() == case.expected["model_id"]


@cases("model/valid")
def test_valid_package_has_no_problem(case: Vector) -> None:
    """The validator finds nothing in it."""
    assert validate(io.BytesIO(case.data), check_golden=check).problems == []


@every_feed
@cases("model/invalid")
def test_hostile_package_is_refused_by_the_promised_rule(case: Vector, feed: str) -> None:
    """Each invalid vector fails with its own code, rule and byte, however it arrives; a golden set when it is run."""
    if case.expected["rule"] == "M6-2":
        package = read_forward(case.feed(feed)).package
        assert package is not None
        with pytest.raises(GoldenMismatch) as mismatch:
            check(package)
        assert mismatch.value.code == case.expected["code"]
        return

    with pytest.raises(FormatError) as caught:
        read_forward(case.feed(feed))

    assert (caught.value.code, caught.value.rule, caught.value.at) == case.error, str(caught.value)


@cases("model/invalid")
def test_first_problem_of_the_validator_is_the_promised_one(case: Vector) -> None:
    """The validator goes on after a problem, and still names the right one first."""
    problems = validate(io.BytesIO(case.data), check_golden=check).problems

    assert (problems[0].code, problems[0].rule, problems[0].at) == case.error, problems
