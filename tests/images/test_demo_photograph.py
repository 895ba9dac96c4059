"""The demo photograph, and the page that shows it in several versions."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.images import fit
from aeformat.images.panels import Panel, Part, panels_page, stacked
from aeformat.images.photograph import DEMO_PHOTOGRAPH, demo_photograph


@pytest.mark.parametrize("first", [0, 200, 590], ids=lambda column: f"columns from {column}")
def test_the_tool_draws_the_photograph_that_is_shipped(first):
    """Nobody edited it: columns from the shore, through the cabin, and of the jetty are the very pixels (the whole takes a minute)."""
    camera = pytest.importorskip("tools.draw_photograph.camera", reason="tools/ is not part of an installed package")

    np.testing.assert_array_equal(camera.draw(first, first + 8), demo_photograph()[:, first : first + 8])


def test_the_photograph_is_light_enough_to_travel_and_hard_enough_to_show():
    """At most 400 kB; all of black to white; textures and edges as well as smooth parts."""
    data = importlib.resources.files("aeformat") / "data" / DEMO_PHOTOGRAPH
    photo = demo_photograph()
    steps = np.abs(np.diff(photo.astype(int), axis=1)).mean(axis=2)

    assert len(data.read_bytes()) <= 400_000
    assert (photo.shape, photo.dtype) == ((512, 768, 3), np.uint8)
    assert photo.min() < 20 and photo.max() > 235
    assert (steps > 20).mean() > 0.05 and (steps < 3).mean() > 0.3


def test_without_pillow_it_is_not_read(monkeypatch):
    monkeypatch.setattr(fit.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"[Pp]hotographs"):
        demo_photograph()


def test_a_page_shows_every_version_and_its_enlarged_part():
    """Side by side; each pixel of the part is a square; the captions and notes do not touch them."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    page = np.asarray(panels_page([Panel(pixels, "a", "b"), Panel(255 - pixels, "c")], Part(8, 10, 12, 20, 3)))
    for version in (pixels, 255 - pixels):
        enlarged = np.kron(version[8:20, 10:30, 0], np.ones((3, 3), np.uint8))
        windows = np.lib.stride_tricks.sliding_window_view(page[..., 0], enlarged.shape)
        assert (windows == enlarged).all(axis=(2, 3)).sum() == 1


def test_pages_are_put_below_each_other():
    pixels = np.zeros((8, 8, 3), np.uint8)
    small, large = (panels_page([Panel(pixels, "")] * n, Part(0, 0, 8, 8)) for n in (1, 2))
    both = stacked([small, large])
    assert both.size == (large.width, small.height + large.height)
    assert np.array_equal(np.asarray(both)[small.height :], np.asarray(large))
