"""The demo digits and the picture that the demo makes of them."""

from __future__ import annotations

import gzip
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeformat.errors import UsageError
from aeformat.images import demo_digits, save_comparison
from aeformat.images.picture import psnr

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drawing():
    """tools/draw_digits.py as a module."""
    path = ROOT / "tools" / "draw_digits.py"
    if not path.is_file():
        pytest.skip("tools/ is not part of an installed package")
    spec = importlib.util.spec_from_file_location("draw_digits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_digits_follow_mnists_conventions():
    """28x28, white on black, 20 pixels long, anti-aliased, the centre of mass in the middle, no two alike."""
    images = demo_digits()
    assert (images.shape, images.dtype) == ((100, 28, 28, 1), np.uint8)
    for image in images[..., 0]:
        rows, columns = np.nonzero(image)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        mass = np.array([image.sum(axis=1) @ np.arange(28), image.sum(axis=0) @ np.arange(28)]) / image.sum()
        assert np.abs(mass - 14).max() <= 0.51
        assert len(np.unique(image)) > 20
    assert len(np.unique(images.reshape(100, -1), axis=0)) == 100


def test_the_tool_draws_the_digits_that_are_shipped(drawing):
    """Nobody edited them, and their labels go with them."""
    images, labels = drawing.draw_all()
    shipped = gzip.decompress((drawing.DATA / "demo-digits-labels-idx1-ubyte.gz").read_bytes())

    np.testing.assert_array_equal(images, demo_digits()[..., 0])
    assert shipped == b"\0\0\x08\x01\0\0\0\x64" + labels.tobytes()
    assert labels.tolist() == list(range(10)) * 10


def test_the_digits_look_like_mnists(mnist_dir):
    """The nearest of 10,000 MNIST test digits has the same label for 90 of 100: what MNIST models see is familiar."""
    read = {"images": 16, "labels": 8}
    mnist = {
        kind: np.frombuffer(
            gzip.decompress((mnist_dir / f"t10k-{kind}-idx{rank}-ubyte.gz").read_bytes())[at:], np.uint8
        )
        for (kind, at), rank in zip(read.items(), (3, 1), strict=True)
    }
    known = mnist["images"].reshape(-1, 784).astype(np.float32)
    drawn = demo_digits().reshape(-1, 784).astype(np.float32)
    nearest = ((known**2).sum(axis=1) - 2 * drawn @ known.T).argmin(axis=1)

    assert (mnist["labels"][nearest] == list(range(10)) * 10).sum() >= 90


@pytest.mark.parametrize("n", [1, 10, 25])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_comparison_shows_both_at_full_size(tmp_path, n, channels):
    """Every pixel of both is there, enlarged and unchanged, one above the other."""
    originals = np.repeat(demo_digits()[:n], channels, axis=-1)
    decoded = 255 - originals
    save_comparison(tmp_path / "a.png", originals, decoded, title="Title", scale=2)

    page = np.asarray(Image.open(tmp_path / "a.png"))
    black = np.flatnonzero((page == 0).all(axis=2).sum(axis=1) > 28)  # rows with the originals' background
    tile = np.kron(originals[0, :, :, 0], np.ones((2, 2), np.uint8))
    inverse = 255 - tile
    windows = np.lib.stride_tricks.sliding_window_view(page[black[0] - 2 : black[0] + 130, :, 0], (56, 56))
    assert (windows == tile).all(axis=(2, 3)).any()
    assert (windows == inverse).all(axis=(2, 3)).any()


def test_a_comparison_replaces_only_with_force(tmp_path):
    """It is an output as any other."""
    images = demo_digits()[:2]
    save_comparison(tmp_path / "a.png", images, images)
    with pytest.raises(UsageError, match=r"exists$"):
        save_comparison(tmp_path / "a.png", images, images)
    save_comparison(tmp_path / "a.png", images, images, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_comparison_is_of_pairs(tmp_path):
    """Different numbers are a mistake."""
    with pytest.raises(ValueError, match="one shape"):
        save_comparison(tmp_path / "a.png", demo_digits()[:2], demo_digits()[:3])


@pytest.mark.parametrize(("error", "decibel"), [(0, math.inf), (255, 0.0), (1, 48.1308)])
def test_psnr(error, decibel):
    """20 log10(255 / RMSE)."""
    black = np.zeros((4, 3, 1), np.uint8)
    assert psnr(black, black + np.uint8(error)) == pytest.approx(decibel, abs=1e-4)
