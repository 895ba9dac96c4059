"""Networks of any height and width: a tile at a time they give the numbers of the whole, in every backend."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from model.free_networks import float_pair, photo_decoder, random_decoder, random_encoder
from model.plain import evaluate

from aeformat.backends import tiled
from aeformat.backends.numpy_backend import NumpyBackend, NumpyNetwork
from aeformat.container import threads
from aeformat.errors import LimitExceeded, ValueInvalid
from aeformat.model.golden import check_golden
from aeformat.model.package import ModelPackage
from aeformat.model.reference import golden_output
from aeformat.model.tiles import tile_size

SEEDS = range(12)
STRIPS = [(1, 1), (1, 9), (8, 1), (2, 3), (7, 6)]
MAKERS = {"decoder": random_decoder, "encoder": random_encoder}


def random_rows(package: ModelPackage, seed: int, size: tuple[int, int], n: int = 2) -> np.ndarray:
    """Rows of all that the input's type holds."""
    info = np.iinfo(package.golden_input.dtype)
    shape = (n, *size, package.input.shape[2])
    return np.random.default_rng(seed).integers(info.min, info.max + 1, shape).astype(info.dtype)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_give_the_integers_of_the_spec_at_every_size(make: Any, seed: int) -> None:
    """Down to 1 x 1 and strips of one pixel; tiles of one pixel, of odd sizes, and the whole."""
    package = make(seed)
    for size in STRIPS:
        rows = random_rows(package, seed, size)
        expected = evaluate(package, rows)

        np.testing.assert_array_equal(golden_output(package, rows), expected)
        for tile in (None, (1, 1), (3, 5), (2, 64)):
            np.testing.assert_array_equal(NumpyNetwork(package, tile=tile).run(rows), expected)
        np.testing.assert_array_equal(NumpyNetwork(package, integers=True, tile=(4, 3)).run(rows), expected)
    check_golden(package, NumpyBackend().load(package))


def test_the_random_networks_are_of_every_sort() -> None:
    """What the test above promises to mix, its seeds do mix."""
    packages = [make(seed) for make in MAKERS.values() for seed in SEEDS]
    steps = [step for package in packages for step in package.plan]

    assert {step.kind for step in steps} == {
        "conv2d", "conv2d_transpose", "affine", "add", "concat", "upsample", "slice", "lookup"
    }  # fmt: skip
    scales = {package.manifest.scale for package in packages}
    assert len(scales) > 4 and any(rows != columns for rows, columns in scales)
    assert all(len(np.unique(made)) > 9 for package in packages for _, made in package.golden[1:])


@pytest.mark.parametrize("side", range(1, 201))
def test_tiles_of_1_to_200_pixels_give_the_very_pixels_of_the_whole(side: int) -> None:
    package = random_decoder(side % len(SEEDS))
    height, width = 211 - side, side + 9
    latent = package.manifest.latent_of((height, width, 5))
    scale = package.manifest.scale
    assert scale is not None
    latent = -(-height // scale[0]), -(-width // scale[1])
    rows = random_rows(package, side, latent, n=1)
    whole = golden_output(package, rows, (height, width))

    made = NumpyNetwork(package, tile=(201 - side, side)).run(rows, (height, width))

    np.testing.assert_array_equal(made, whole)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_do_not_change_a_pixel(n_threads: int) -> None:
    package = photo_decoder()
    rows = random_rows(package, 1, (3, 4), n=3)

    made = NumpyNetwork(package, tile=(20, 30), n_threads=n_threads).run(rows, (41, 63))

    np.testing.assert_array_equal(made, golden_output(package, rows, (41, 63)))


def test_an_image_that_is_not_a_multiple_of_the_scale_is_cut() -> None:
    package = random_decoder(0)
    scale = package.manifest.scale
    assert scale is not None
    rows = random_rows(package, 0, (3, 2))
    size = 2 * scale[0] + 1, 2 * scale[1]

    made = NumpyBackend().load(package).run(rows, size)

    np.testing.assert_array_equal(made, evaluate(package, rows)[:, : size[0], : size[1]])


def test_small_images_are_computed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few at a time, if they have one size; each still by itself."""
    package = random_decoder(3)
    rows = random_rows(package, 3, (2, 2), n=11)
    expected = evaluate(package, rows)
    for numbers in (1, 3_000, 1 << 20):
        monkeypatch.setattr(tiled, "_BLOCK_NUMBERS", numbers)

        np.testing.assert_array_equal(NumpyNetwork(package).run(rows), expected)


@pytest.mark.parametrize(
    ("latent", "image", "error"),
    [((2, 2), (1, 9), ValueInvalid), ((0, 3), None, ValueInvalid), ((1, 1), (0, 1), ValueInvalid)],
    ids=["sizes that do not go together", "no rows", "an image without rows"],
)
def test_sizes_that_make_no_sense_are_refused(latent: tuple[int, int], image: Any, error: Any) -> None:
    package = random_decoder(1)
    rows = np.zeros((1, *latent, 5), np.int8)

    with pytest.raises(error) as caught:
        NumpyBackend().load(package).run(rows, image)

    assert (caught.value.rule, caught.value.at) == ("M3-12", 0)


def test_a_huge_image_is_refused_before_memory_is_taken() -> None:
    """Latents that repeat one number, as a view of it, ask for 2^34 pixels."""
    package = photo_decoder()
    rows = np.broadcast_to(np.zeros((1, 1, 1, 160), np.int8), (1, 2**13, 2**13, 160))

    with pytest.raises(LimitExceeded) as caught:
        NumpyBackend().load(package).run(rows)

    assert caught.value.rule == "M3-12"


def test_an_error_in_a_tile_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    package = random_decoder(0)
    network = NumpyNetwork(package, tile=(1, 1), n_threads=3)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(network, "_run_tile", fail)
    with pytest.raises(MemoryError):
        network.run(random_rows(package, 0, (2, 2)))


def test_a_network_that_reaches_far_gets_larger_tiles() -> None:
    """So that it does not mostly compute what lies around a tile."""
    near, far = photo_decoder(), random_encoder(0)

    assert tile_size(near.manifest) == (128, 128)
    assert min(tile_size(far.manifest)) > 16


@pytest.mark.parametrize("half", [0, 1], ids=["encoder", "decoder"])
def test_the_float32_profile_keeps_its_tolerance_at_every_size(half: int) -> None:
    """M5-1, M5-2: its golden sets of two sizes; and the whole row is one tile, whoever asks."""
    package = float_pair()[half]
    network = NumpyBackend().load(package)
    check_golden(package, network)
    rows = package.golden[1][0]

    alone = [network.run(row[np.newaxis]) for row in rows]

    np.testing.assert_array_equal(network.run(rows), np.concatenate(alone))


@pytest.mark.usefixtures("needs_tensorflow")
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("seed", range(3))
def test_tensorflow_gives_the_same_integers(make: Any, seed: int) -> None:
    from aeformat.backends.tensorflow_backend import TensorflowNetwork

    package = make(seed)
    networks = [TensorflowNetwork(package), TensorflowNetwork(package, tile=(3, 5))]
    for size in STRIPS:
        rows = random_rows(package, seed, size)
        expected = NumpyBackend().load(package).run(rows)
        for network in networks:
            np.testing.assert_array_equal(network.run(rows), expected)
    check_golden(package, networks[0])


@pytest.mark.usefixtures("needs_tensorflow")
def test_tensorflow_runs_the_photographs_decoder_and_float_networks() -> None:
    from aeformat.backends.tensorflow_backend import TensorflowBackend

    for package in (photo_decoder(), *float_pair()):
        check_golden(package, TensorflowBackend().load(package))


def test_all_cores_that_the_process_may_use_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert threads.n_processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.n_processors() == 1
