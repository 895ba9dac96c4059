"""Networks of any height and width: what a manifest may say, and what follows from it (spec/model.md, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import FormatError, LimitExceeded, ManifestInvalid, ValueInvalid
from aeformat.model import free_sizes, memory, work
from aeformat.model.bounds import channel_bounds, phase_bounds
from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint, Manifest
from aeformat.model.reference import golden_output
from aeformat.model.tiles import line_of
from model import bases
from model.bases import Base
from model.free_networks import photo_decoder, random_decoder, random_encoder
from model.test_hostile_manifests import Change, array, both, put

BAD, LIMIT = ManifestInvalid, LimitExceeded
UP = {"kind": "upsample", "inputs": [2], "factors": [2, 1]}


def add(*layers: dict[str, object]) -> Change:
    return lambda base: base.layers.extend(layers)


def after(kind: str, **keys: object) -> Change:
    """One more layer behind the last."""
    return lambda base: base.layers.append({"kind": kind, "inputs": [len(base.layers)], **keys})


def drop_golden(n_left: int) -> Change:
    return lambda base: base.fields.update(golden=base.fields["golden"][:n_left])


# name: (a valid manifest, what is done to it, how it is refused)
CASES: dict[str, tuple[Callable[[], Base], Change, tuple[type[FormatError], str]]] = {
    "a golden set of one size": (bases.free, drop_golden(1), (BAD, "M2-2")),
    "a golden set that is a map": (bases.free, put("golden", {"input": 4, "output": 5}), (BAD, "M2-2")),
    "a golden set of nine sizes": (bases.free, put("golden", [{"input": 4, "output": 5}] * 9), (BAD, "M2-2")),
    "a golden map with another key": (bases.free, put("golden.1.size", 1), (BAD, "M2-2")),
    "a golden list where sizes are fixed": (bases.exact, put("golden", [{"input": 4, "output": 5}]), (BAD, "M2-2")),
    "a free height alone": (bases.free, put("input.shape", [0, 4, 2]), (BAD, "M2-8")),
    "a free width alone": (bases.free, put("output.shape", [4, 0, 1]), (BAD, "M2-8")),
    "free channels": (bases.free, put("input.shape", [0, 0, 0]), (BAD, "M2-8")),
    "a free vector": (bases.free, put("input.shape", [0]), (BAD, "M2-8")),
    "a free input and a fixed output": (bases.free, put("output.shape", [4, 4, 1]), (BAD, "M2-8")),
    "a fixed input and a free output": (bases.free, put("input.shape", [2, 2, 2]), (BAD, "M2-8")),
    "flatten": (bases.free, after("flatten"), (BAD, "M3-10")),
    "reshape": (bases.free, after("reshape", shape=[2, 2, 1]), (BAD, "M3-10")),
    "dense": (bases.free, after("dense", weights=0, bias=1), (BAD, "M3-10")),
    "a pool": (bases.free, after("max_pool", size=[1, 1], strides=[1, 1], padding=[0, 0, 0, 0]), (BAD, "M3-10")),
    "pad": (bases.free, after("pad", padding=[0, 0, 0, 0], value=0), (BAD, "M3-10")),
    "crop": (bases.free, after("crop", crop=[0, 0, 0, 0]), (BAD, "M3-10")),
    "a decoder that makes less than its latents": (
        bases.free,
        put("layers.0", {"kind": "conv2d", "inputs": [0], "weights": 0, "bias": 1, "strides": [2, 1],
                         "padding": [1, 1, 1, 2]}),
        (BAD, "M3-10"),
    ),
    "an encoder that makes more than its pixels": (
        bases.free_encoder,
        put("layers.0", {"kind": "conv2d_transpose", "inputs": [0], "weights": 0, "bias": 1, "strides": [2, 2],
                         "crop": [0, 1, 0, 1]}),
        (BAD, "M3-10"),
    ),
    "an input of too many numbers": (bases.free, put("input.shape", [0, 0, 2**28 + 1]), (LIMIT, "M3-5")),
    "a crop too small": (bases.free, put("layers.0.crop", [1, 0, 2, 0]), (BAD, "M3-11")),
    "a crop too large": (bases.free, put("layers.0.crop", [1, 1, 2, 1]), (BAD, "M3-11")),
    "a padding too small": (
        bases.free,
        both(
            lambda base: base.arrays.append(np.ones((2, 1, 1, 1), np.int8)), Base.list_tensors,
            after("conv2d", weights=8, bias=1, strides=[1, 1], padding=[0, 0, 0, 0]),
        ),
        (BAD, "M3-11"),
    ),
    "a padding too large": (bases.free_encoder, put("layers.0.padding", [1, 2, 0, 2]), (BAD, "M3-11")),
    "joined along another axis": (
        bases.free,
        add({"kind": "concat", "inputs": [2, 2], "axis": 0}),
        (BAD, "M3-11"),
    ),
    "sizes of branches that do not agree": (
        bases.free,
        add(UP, {"kind": "concat", "inputs": [2, 3], "axis": 2}),
        (BAD, "M3-5"),
    ),
    "another number of channels": (bases.free, put("output.shape", [0, 0, 2]), (BAD, "M3-8")),
    "a golden image without channels": (bases.free, array(7, np.zeros((2, 4, 3), np.uint8)), (BAD, "M6-1")),
    "golden latents too few": (bases.free, array(6, np.zeros((2, 1, 2, 2), np.int8)), (BAD, "M6-1")),
    "golden latents too many": (bases.free, array(6, np.zeros((2, 3, 2, 2), np.int8)), (BAD, "M6-1")),
    "golden rows that differ in number": (bases.free, array(6, np.zeros((1, 2, 2, 2), np.int8)), (BAD, "M6-1")),
    "two golden images of one size": (
        bases.free,
        both(array(6, np.zeros((2, 1, 1, 2), np.int8)), array(7, np.zeros((2, 1, 2, 1), np.uint8))),
        (BAD, "M6-1"),
    ),
    "65 golden rows": (
        bases.free,
        both(array(6, np.zeros((64, 2, 2, 2), np.int8)), array(7, np.zeros((64, 4, 3, 1), np.uint8))),
        (BAD, "M6-1"),
    ),
    "golden latents of an encoder, too many": (
        bases.free_encoder, array(7, np.zeros((2, 2, 3, 2), np.int8)), (BAD, "M6-1")
    ),
    "a golden pixel outside the range, of the second size": (
        bases.free,
        both(put("input.range", [-1, 1]), array(6, np.full((2, 2, 2, 2), 2, np.int8))),
        (BAD, "M6-1"),
    ),
    "a prior": (
        bases.free, put("prior", {"bits": 8, "classes": 1, "means": 1, "picks": 1, "tables": 1}), (BAD, "M10-6")
    ),
    "a slice of no channels": (bases.exact, after("slice", start=1, stop=1), (BAD, "M3-5")),
    "a slice beyond the channels": (bases.exact, after("slice", start=0, stop=4), (BAD, "M3-5")),
    "a slice of sums": (bases.exact, lambda base: base.layers.insert(
        1, {"kind": "slice", "inputs": [1], "start": 0, "stop": 6}), (BAD, "M3-6")),
    "a slice without an end": (bases.exact, after("slice", start=1), (BAD, "M3-2")),
    "a slice from before the first": (bases.exact, after("slice", start=-1, stop=1), (BAD, "M3-2")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_manifest_that_breaks_a_rule_is_refused_by_it(name: str) -> None:
    make, change, expected = CASES[name]
    base = make()
    change(base)

    with pytest.raises(FormatError) as caught:
        base.load()

    assert (type(caught.value), caught.value.rule) == expected, caught.value


def test_a_stride_that_does_not_divide_the_size_is_refused() -> None:
    """2 rows for each of the latent, then a stride of 3, then up again: the scale is whole, that value is not."""
    base = bases.free()
    base.arrays += [np.ones((3, 1, 1, 1), np.int8), np.ones((3, 1, 1, 1), np.int8)]
    base.list_tensors()
    down = {"kind": "conv2d", "inputs": [2], "weights": 8, "bias": 1, "strides": [3, 1], "padding": [0, 1, 0, 0]}
    up = {"kind": "conv2d_transpose", "inputs": [4], "weights": 9, "bias": 1, "strides": [3, 1], "crop": [0, 0, 0, 0]}
    lookup = base.layers[1]
    base.layers.extend([down, lookup | {"inputs": [3]}, up, lookup | {"inputs": [5]}])

    with pytest.raises(ManifestInvalid) as caught:
        base.load()

    assert caught.value.rule == "M3-11"
    assert "does not divide" in str(caught.value)


@pytest.mark.parametrize("make", [bases.free, bases.free_encoder], ids=["decoder", "encoder"])
def test_a_manifest_with_free_sizes_says_what_was_put_in(make: Callable[[], Base]) -> None:
    base = make()
    package = base.load()
    manifest = package.manifest

    assert manifest.to_bytes() == base.to_bytes()
    assert manifest.minor == 1 and package.has_free_sizes
    assert manifest.scale == ((2, 2) if package.role == "decoder" else (2, 1))
    assert len(package.golden) == 2
    assert package.golden_input is package.tensors[4] and package.golden_output is package.tensors[5]


def test_a_slice_alone_makes_a_manifest_of_version_1_1() -> None:
    base = bases.exact()
    assert base.load().manifest.minor == 0
    base.layers.append({"kind": "slice", "inputs": [3], "start": 1, "stop": 3})
    base.fields["output"]["shape"] = [1, 2, 2]
    base.arrays[5] = base.arrays[5][..., :2]
    base.list_tensors()
    package = base.load()

    assert package.manifest.minor == 1 and package.manifest.scale is None
    made = golden_output(package, package.golden_input)
    np.testing.assert_array_equal(made, _whole(package)[..., 1:3])


def _whole(package: object) -> np.ndarray:
    """What the layers before the slice make."""
    from aeformat.model.reference import all_values

    return all_values(package.plan, package.golden_input)[-2]  # type: ignore[attr-defined]


def test_values_grow_with_the_latent() -> None:
    """What is said for 1 x 1 holds for h x w, h * w times as often: also M7-1's count."""
    for package in (random_decoder(0), random_encoder(1), photo_decoder()):
        manifest = package.manifest
        sized = manifest.at((3, 5))

        assert sized.scale is None
        assert sized.n_multiply_adds == 15 * manifest.n_multiply_adds
        assert sized.n_made == 15 * manifest.n_made
        assert sized.input.shape == sized.values[0].shape and sized.output.shape == sized.values[-1].shape
        rows = np.zeros((1, *sized.input.shape), package.golden_input.dtype)
        assert golden_output(package, rows).shape[1:] == sized.output.shape


def test_the_count_of_the_photographs_decoder_is_that_of_its_layers() -> None:
    """For one latent pixel, 256 of the image: 32 x 32 taps to luma and chroma, then 1 x 1 and twice 3 x 3."""
    planes = 1024 * (112 + 2 * 48)
    pixels = 256 * (9 + 2 * 9 * 3 * 16)

    assert photo_decoder().n_multiply_adds == planes + pixels + 256 * 2 * 3


def test_a_golden_set_costs_what_its_sizes_cost() -> None:
    manifest = bases.free().load().manifest
    rows = [work.row_work(manifest.at(size)) + work.call_work(manifest) for size in ((1, 1), (2, 2))]

    assert work.golden_work(manifest) == rows[0] + 2 * rows[1] + 2 * 2_048
    assert memory.golden_bytes(manifest) == memory.running_bytes(manifest.at((2, 2)))


@pytest.mark.parametrize(
    ("latent", "image", "error"),
    [
        ((1, 1), (2, 2), None),
        ((3, 2), (5, 3), None),
        ((3, 2), (6, 4), None),
        (None, (2**14, 2**14), None),
        ((3, 2), (7, 4), ValueInvalid),
        ((3, 2), (4, 4), ValueInvalid),
        ((3, 2), (6, 5), ValueInvalid),
        ((0, 2), None, ValueInvalid),
        (None, (1, 0), ValueInvalid),
        (None, (2**14, 2**15 + 1), LimitExceeded),
        ((2**15, 2**13 + 1), None, LimitExceeded),
    ],
)
def test_sizes_of_a_row_are_checked(latent: object, image: object, error: type[FormatError] | None) -> None:
    """M3-12, before memory is taken; at: where the file states them."""
    if error is None:
        free_sizes.check_sizes((2, 2), latent, image, n_channels=(4, 2), at=77)
        return
    with pytest.raises(error) as caught:
        free_sizes.check_sizes((2, 2), latent, image, n_channels=(4, 2), at=77)

    assert (caught.value.rule, caught.value.at) == ("M3-12", 77)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1), (3, 5)])
def test_the_bound_by_phase_is_what_the_worst_input_reaches(strides: tuple[int, int]) -> None:
    """Of the sums of a large image, with the worst signs for each of its pixels in turn."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-127, 128, (5, 4, 2, 3)).astype(np.int8)
    bias = rng.integers(-999, 999, 2).astype(np.int32)
    sh, sw = strides

    bounds = phase_bounds(weights, bias, strides, 100)

    largest = [0, 0]
    for channel in range(2):
        for y in range(5):
            for x in range(4):
                met = weights[y % sh :: sh, x % sw :: sw, channel].astype(int)
                largest[channel] = max(largest[channel], 100 * int(np.abs(met).sum()) + abs(int(bias[channel])))
    assert list(bounds) == largest
    whole = channel_bounds(weights, bias, 2, 100)
    assert (bounds == whole) == (strides == (1, 1))


def test_bounds_go_by_phase_in_version_1_1_alone() -> None:
    """The same layer, 2^31 - 1 over all taps: fine by phase, refused in a manifest of version 1.0."""
    free, fixed = bases.free(), bases.free()
    fixed.fields["input"]["shape"], fixed.fields["output"]["shape"] = [1, 1, 2], [2, 2, 1]
    fixed.fields["golden"] = {"input": 4, "output": 5}
    fixed.arrays[5] = np.zeros((1, 2, 2, 1), np.uint8)
    del fixed.arrays[6:]
    for base in (free, fixed):
        base.arrays[1] = np.array([2**31 - 1 - 20 * 128], np.int32)  # 8 numbers meet in a pixel, of 32
        base.list_tensors()

    assert free.load().plan[0].bound == 2**31 - 1 - 12 * 128
    with pytest.raises(ManifestInvalid) as caught:
        fixed.load()
    assert caught.value.rule == "M4-1"


def test_the_photographs_decoder_fits_float32() -> None:
    """Its 32 x 32 taps at stride 16 do so by phase alone."""
    steps = [step for step in photo_decoder().plan if step.kind == "conv2d_transpose"]
    whole = [channel_bounds(step.arrays["weights"], step.arrays["bias"], 2, 128) for step in steps]

    assert all(step.bound < 2**24 < max(bounds) for step, bounds in zip(steps, whole, strict=True))


@pytest.mark.parametrize("make", [random_decoder, random_encoder])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_line_takes_from_the_input_just_what_changes_it(make: Callable[[int], object], axis: int) -> None:
    """A number inside is looked at by some network, one outside never: shown with weights of 1 by reach alone."""
    for seed in range(6):
        manifest: Manifest = make(seed).manifest  # type: ignore[attr-defined]
        n = 9
        end = n * manifest.values[-1].shape[axis]
        for start in range(0, end, 3):
            line = line_of(manifest, axis, n, (start, min(end, start + 2)))
            first, last = line.input

            assert 0 <= first < last <= n * manifest.values[0].shape[axis]
            assert line.n[0] == last - first and line.n[-1] == min(end, start + 2) - start
            for part, layer in zip(line.parts, manifest.layers, strict=True):
                for (begin, stop), value in zip(part.takes, layer.inputs, strict=True):
                    assert 0 <= begin < stop <= line.n[value]


def test_a_builder_needs_rows_of_two_sizes() -> None:
    rows = [np.zeros((1, 1, 1, 2), np.int8)]
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((0, 0, 2), "i8"), output=Endpoint((0, 0, 1), "u8")
    )
    weights = builder.tensor(np.ones((2, 2, 1, 2), np.int8))
    bias = builder.tensor(np.zeros(1, np.int32))
    builder.layer("conv2d_transpose", weights=weights, bias=bias, strides=(2, 2), crop=(0, 0, 0, 0))
    table = builder.tensor(np.arange(256, dtype=np.uint8))
    builder.layer("lookup", multiplier=builder.tensor(np.array([1], np.int32)), shift=0, table=table)

    with pytest.raises(ManifestInvalid) as caught:
        builder.build(golden_input=rows, golden_output=lambda draft: rows)
    assert caught.value.rule == "M2-2"

    rows.append(np.zeros((1, 2, 3, 2), np.int8))
    package = builder.build(golden_input=rows, golden_output=lambda draft: [golden_output(draft, x) for x in rows])
    assert [made.shape for _, made in package.golden] == [(1, 2, 2, 1), (1, 4, 6, 1)]
    assert replace(package.manifest, scale=(2, 2)) == package.manifest
