"""What is seen of photographs."""

import numpy as np
import pytest
from PIL import Image

from aeformat.errors import ImageError, UsageError
from aeformat.training.photo.crops import random_crops, read_photos, whole_blocks


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "more").mkdir()
    for name, shape in (("b.png", (40, 50, 3)), ("a.png", (64, 32)), ("more/c.png", (33, 33, 3))):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    (tmp_path / "README.md").write_text("not an image")
    return tmp_path


def test_all_images_of_a_folder_in_the_order_of_their_names(folder) -> None:
    assert [photo.shape for photo in read_photos(folder, 32)] == [(64, 32, 3), (40, 50, 3), (33, 33, 3)]


def test_a_photograph_that_is_too_small_is_named(folder) -> None:
    with pytest.raises(UsageError, match=r"more/c\.png is smaller than 34 x 34"):
        read_photos(folder / "more", 34)


def test_a_folder_without_images(tmp_path) -> None:
    with pytest.raises(UsageError, match="no image files"):
        read_photos(tmp_path, 32)


def test_a_damaged_image_is_named(folder) -> None:
    (folder / "d.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"d\.png"):
        read_photos(folder, 32)


def test_crops_are_parts_of_photographs_and_a_seed_fixes_them() -> None:
    photo = np.arange(40 * 50 * 3, dtype=np.uint32).reshape(40, 50, 3)
    crops = random_crops([photo], 40, 32, np.random.default_rng(5))
    assert crops.shape == (40, 32, 32, 3)
    corners = {tuple(sorted((int(crop[0, 0, 0]), int(crop[0, -1, 0]), int(crop[-1, 0, 0])))) for crop in crops}
    assert len(corners) > 20
    steps = {(int(crop[0, 1, 0]) - int(crop[0, 0, 0])) for crop in crops}
    assert steps == {3, -3, 150, -150}
    assert np.array_equal(crops, random_crops([photo], 40, 32, np.random.default_rng(5)))


def test_the_edge_is_repeated_up_to_whole_blocks() -> None:
    photo = np.arange(33 * 64 * 3, dtype=np.uint32).reshape(33, 64, 3)
    made = whole_blocks(photo, 32)
    assert made.shape == (64, 64, 3)
    assert np.array_equal(made[40], photo[32])
