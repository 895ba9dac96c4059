"""A model of any size from Python and the command line: arrays go through it, and what does not go is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model.free_networks import photo_decoder, random_decoder
from model.test_pair import FREE_LATENTS, SIZES, free_halves

import aeformat as package
from aeformat.errors import LimitExceeded, UsageError, ValueInvalid
from aeformat.model.file_io import read_package, write_package
from aeformat.model.pair import build_pair

IMAGES = np.random.default_rng(5).integers(0, 256, (3, 37, 21, 3)).astype(np.uint8)


@pytest.fixture
def pair(tmp_path: Path) -> str:
    """The path of a pair of packages."""
    golden = [np.arange(2 * h * w * 3, dtype=np.uint8).reshape(2, h, w, 3) for h, w in SIZES]
    for half in build_pair(*free_halves(), golden, latents=FREE_LATENTS, name="any"):
        write_package(half, tmp_path / f"any.{half.role}.aef")
    return str(tmp_path / "any")


def test_arrays_of_images_go_through_and_come_back_at_their_size(pair: str) -> None:
    model = package.load_model(pair)

    latents = model.encode(IMAGES)
    images = model.decode(latents, image=IMAGES.shape[1:3])

    assert model.dims == (0, 0, 2) and model.image == (0, 0, 3)
    assert latents.shape == (3, 19, 11, 2) and latents.dtype == np.int8
    assert images.shape == IMAGES.shape
    whole = model.decode(latents)
    assert whole.shape == (3, 38, 22, 3)
    np.testing.assert_array_equal(whole[:, :37, :21], images)
    np.testing.assert_array_equal(model.decode(latents[1:2], image=(37, 21)), images[1:2])


@pytest.mark.parametrize(
    ("image", "error"), [((40, 21), ValueInvalid), ((36, 21), ValueInvalid), ((0, 0), ValueInvalid)]
)
def test_a_size_that_does_not_go_with_the_latents_is_refused(pair: str, image: tuple[int, int], error: type) -> None:
    model = package.load_model(pair)

    with pytest.raises(error, match="M3-12"):
        model.decode(model.encode(IMAGES), image=image)


def test_a_decoder_of_one_size_makes_no_other() -> None:
    model = package.load_model("mnist-exact")
    latents = np.zeros((1, *model.dims), np.uint8 if model.the_decoder.input.type == "u8" else np.int8)

    with pytest.raises(UsageError, match="and no others"):
        model.decode(latents, image=(28, 28))


def test_what_takes_one_size_says_so(pair: str, aeformat: Any) -> None:
    for arguments in (["model", "cost", pair], ["model", "export", pair, "-o", "out.onnx"]):
        ran = aeformat(*arguments)

        assert ran.code == 2 and "any height and width" in ran.err and ran.err.count("\n") == 1, ran.err
    assert not list(Path().glob("out*"))


def test_model_cost_converts_no_image_and_offers_no_option_for_it(aeformat: Any) -> None:
    np.save("wide.npy", np.zeros((3, 20, 30), np.uint8))
    ran = aeformat("model", "cost", "mnist-exact", "--images", "wide.npy")

    assert ran.code == 1 and "give images that fit" in ran.err and "--resize" not in ran.err


def test_show_list_info_and_validate_know_free_sizes(pair: str, aeformat: Any) -> None:
    shown = aeformat("model", "show", pair)

    assert shown.code == 0
    assert "u8 [2h, 2w, 3]" in shown.out and "i8 [h, w, 2]" in shown.out
    assert "multiply-adds for 2 x 2 pixels of an image" in shown.out
    info = aeformat("info", f"{pair}.decoder.aef")
    assert info.code == 0 and "[0, 0, 3]" in info.out
    assert aeformat("validate", f"{pair}.decoder.aef", f"{pair}.encoder.aef").code == 0
    assert aeformat("model", "install", f"{pair}.decoder.aef").code == 0
    listed = aeformat("model", "list")
    assert listed.code == 0 and "u8 [0, 0, 3]" in listed.out


def test_a_slice_shows_its_channels(tmp_path: Path, aeformat: Any) -> None:
    write_package(random_decoder(0), tmp_path / "free.aef")

    assert "slice start 0, stop 3" in aeformat("model", "show", "free.aef").out


def test_a_package_of_any_size_comes_back_from_its_file(tmp_path: Path) -> None:
    made = photo_decoder()
    write_package(made, tmp_path / "a.aef")

    again = read_package(tmp_path / "a.aef")

    assert (again.model_id, again.manifest) == (made.model_id, made.manifest)
    assert (tmp_path / "a.aef").read_bytes()[9:12] == b"\x01\x04\x00"  # minor 1, flag bit 2


def test_the_work_of_a_row_can_be_capped(tmp_path: Path) -> None:
    """M7-1 counts a latent of 1 x 1."""
    made = photo_decoder()
    write_package(made, tmp_path / "a.aef")
    work = made.n_multiply_adds + made.n_made

    read_package(tmp_path / "a.aef", max_work=work)
    with pytest.raises(LimitExceeded, match="M7-1"):
        read_package(tmp_path / "a.aef", max_work=work - 1)
