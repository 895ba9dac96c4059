"""aeformat.pipeline.refine_sized: never worse, better where there is something to find, the same by any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_passes import prior_of
from aeformat.errors import UsageError
from aeformat.pipeline import refine_sized
from aeformat.pipeline.refine_sized import LEVELS, SizedRefinement
from aeformat.pipeline.refinement import refiner
from tests.model.free_networks import photo_decoder
from tests.model.with_passes import pair_with_passes

ENCODER, DECODER = pair_with_passes()
SIZES = [(1, 1), (1, 9), (2, 3), (13, 21), (69, 70)]  # of images, two pixels a latent


def image(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A ramp with noise."""
    draw = np.random.default_rng(seed)
    ramp = np.add.outer(3 * np.arange(size[0]), 2 * np.arange(size[1]))[..., None]
    return np.clip(ramp + draw.integers(0, 60, (*size, 3)), 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray) -> np.ndarray:
    return NumpyBackend().load(ENCODER).run(pixels[None])


def total(latents: np.ndarray, pixels: np.ndarray, price: float) -> int:
    """Bits and priced error of one row, in Python's integers and by the passes one after the other."""
    prior = prior_of(DECODER).prior
    passing, bits = prior.network.row(*latents.shape[:2]), 0
    for place in prior.passes(*latents.shape[:2]):
        means, picks = passing.expect()
        passing.put(latents[place])
        symbols = (latents[place].astype(int) - means) % 256
        bits += int(prior.costs[picks.astype(int), symbols].sum(dtype=np.uint64))
    made = NumpyBackend().load(DECODER).run(latents[None], pixels.shape[:2])[0]
    error = int(np.square(made.astype(np.int64) - pixels).sum())
    return bits * LEVELS + round(price * 65536) * error


@pytest.mark.parametrize("price", [2.0**-16, 20.0, 300.0, 1e6])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_image_is_worse_and_latents_stay_in_range(size, price):
    """From one position to several tiles, with pixels that no whole position has."""
    pixels = image(size)
    before = encoded(pixels)
    kept = before.copy()

    after = SizedRefinement(DECODER, price).refine(before, pixels[None])

    assert (before == kept).all() and after.dtype == before.dtype and after.shape == before.shape
    assert total(after[0], pixels, price) <= total(before[0], pixels, price)
    assert np.abs(after.astype(int) - before).max() <= 2


def test_it_comes_near_to_moving_one_latent_after_the_other():
    """By true bits and true error: half of what a sweep of single moves gains, at least."""
    pixels, price = image((16, 18)), 100.0
    before = encoded(pixels)[0]
    swept, lowest = before.copy(), total(before, pixels, price)
    for place in np.ndindex(before.shape):
        for step in (-1, 1):
            tried = swept.copy()
            tried[place] = np.clip(int(tried[place]) + step, -128, 127)
            found = total(tried, pixels, price)
            if found < lowest:
                swept, lowest = tried, found

    after = SizedRefinement(DECODER, price).refine(before[None], pixels[None])[0]

    start = total(before, pixels, price)
    assert start - total(after, pixels, price) > (start - lowest) / 2 > 0


def test_threads_make_no_difference(monkeypatch):
    """And a row's latents do not depend on the rows beside it."""
    monkeypatch.setattr(refine_sized, "_TILE", 6)
    pixels = np.stack([image((37, 50), seed) for seed in range(2)])
    before = encoded(pixels[0])
    before = np.concatenate([before, encoded(pixels[1])])

    one, many = (SizedRefinement(DECODER, 50.0, n_threads=n).refine(before, pixels) for n in (1, 5))

    assert (one != before).any()
    np.testing.assert_array_equal(one, many)
    np.testing.assert_array_equal(SizedRefinement(DECODER, 50.0).refine(before[1:], pixels[1:]), one[1:])


def test_the_total_of_tiles_is_that_of_the_whole(monkeypatch):
    """Bits and error of each tile are those that it has in the image: the search measures what will be written."""
    pixels, price = image((37, 50)), 50.0
    latents = encoded(pixels)[0]
    for tile in (2, 6, 32):
        monkeypatch.setattr(refine_sized, "_TILE", tile)
        found, _ = refine_sized._Search(SizedRefinement(DECODER, price), pixels)._all_tiles(latents, None)
        assert found == total(latents, pixels, price)


def test_progress_counts_images():
    """In parts, which come to whole images."""

    class Told(list):
        def update(self, n, /):
            self.append(n)

    told = Told()
    SizedRefinement(DECODER, 50.0, 3).refine(
        np.concatenate([encoded(image((4, 4)))] * 2), np.stack([image((4, 4))] * 2), told
    )
    assert len(told) == 24 and sum(told) == pytest.approx(2)


def test_the_price_of_its_own_follows_from_a_step():
    """6 / (E ln 2) bits for a unit of squared error, where a step of a latent changes E on average."""
    refinement = SizedRefinement(DECODER)
    assert refinement.step_energy * refinement.own_price == pytest.approx(6 * 255**2 / np.log(2))
    assert refinement.integer_price == round(refinement.own_price * 65536)


def test_what_cannot_be_refined_is_refused():
    """In words that say what does not go."""
    for price in (0, -1.0, float("nan"), float("inf"), 1.1e6):
        with pytest.raises(UsageError, match="out of range"):
            SizedRefinement(DECODER, price)
    with pytest.raises(UsageError, match="1 to 16 rounds"):
        SizedRefinement(DECODER, 1.0, 17)
    with pytest.raises(UsageError, match="exact decoder with a prior"):
        SizedRefinement(photo_decoder(), 1.0)
    with pytest.raises(UsageError, match='a number or "auto"'):
        refiner(DECODER, "much", None, NumpyBackend().load)
