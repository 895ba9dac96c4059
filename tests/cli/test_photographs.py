"""Photographs of any size on the command line: into a file, out of it, compared, described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model.test_pair import FREE_LATENTS, SIZES, free_halves
from model.with_passes import pair_with_passes
from PIL import Image

import aeformat as package
from aeformat.model import store
from aeformat.model.file_io import write_package
from aeformat.model.pair import build_pair

PHOTOS = {"a/one.png": (37, 21), "b.png": (37, 21), "c.png": (1, 1), "d.png": (50, 9)}


def photo(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).integers(0, 256, (*PHOTOS[name], 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a model of any size, without a prior."""
    folder = tmp_path_factory.mktemp("model")
    golden = [np.arange(2 * h * w * 3, dtype=np.uint8).reshape(2, h, w, 3) for h, w in SIZES]
    for half in build_pair(*free_halves(), golden, latents=FREE_LATENTS, name="any"):
        write_package(half, folder / f"any.{half.role}.aef")
    return str(folder / "any")


@pytest.fixture
def photos(folder: Path) -> Path:
    for name in PHOTOS:
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(name)).save(folder / "in" / name)
    return folder / "in"


@pytest.fixture
def packed(pair: str, photos: Path, aeformat: Any) -> str:
    ran = aeformat("pack", str(photos), "-o", "all.aef", "--model", pair, "--receipts")
    assert ran.code == 0 and "4 images" in ran.err, ran.err
    return "all.aef"


@pytest.fixture
def decoded(pair: str) -> dict[str, np.ndarray]:
    """What the model makes of each photograph by itself."""
    model = package.load_model(pair)
    return {name: model.decode(model.encode(photo(name)[np.newaxis]), image=size)[0] for name, size in PHOTOS.items()}


def given(pair: str) -> tuple[str, str]:
    return "--decoder", f"{pair}.decoder.aef"


def test_a_folder_comes_back_as_a_folder(packed: str, pair: str, decoded: dict[str, np.ndarray], aeformat: Any) -> None:
    """The names, the sizes, and the pixels that each has by itself; proved by receipts."""
    ran = aeformat("unpack", packed, "-o", "out/", *given(pair))

    assert ran.code == 0 and "pixels those of the receipts" in ran.err, ran.err
    assert sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*.png")) == sorted(PHOTOS)
    for name, image in decoded.items():
        np.testing.assert_array_equal(np.asarray(Image.open(f"out/{name}")), image)


def test_an_npz_has_an_array_for_each(packed: str, pair: str, decoded: dict[str, np.ndarray], aeformat: Any) -> None:
    assert aeformat("unpack", packed, "-o", "out.npz", *given(pair)).code == 0

    with np.load("out.npz") as arrays:
        assert sorted(arrays) == sorted(PHOTOS)
        for name, image in decoded.items():
            np.testing.assert_array_equal(arrays[name], image)


@pytest.mark.parametrize("out", ["out.npy", "out.idx", "-"])
def test_one_array_does_not_take_images_of_many_sizes(packed: str, pair: str, aeformat: Any, out: str) -> None:
    """One line that says what does; two of one size do go."""
    ran = aeformat("unpack", packed, "-o", out, *given(pair))
    assert ran.code == 2 and "folder" in ran.err and ".npz" in ran.err and ran.err.count("\n") == 1, ran.err
    assert not list(Path().glob("out*"))


def test_rows_of_one_size_go_into_one_array(
    packed: str, pair: str, decoded: dict[str, np.ndarray], aeformat: Any
) -> None:
    assert aeformat("unpack", packed, "-o", "two.npy", "--rows", "0:2", *given(pair)).code == 0
    np.testing.assert_array_equal(np.load("two.npy"), np.stack([decoded["a/one.png"], decoded["b.png"]]))


def test_some_rows_come_alone(packed: str, pair: str, decoded: dict[str, np.ndarray], aeformat: Any) -> None:
    """With the same pixels, proved."""
    ran = aeformat("unpack", packed, "-o", "some/", "--rows", "2:4", *given(pair))
    assert ran.code == 0 and "2 images, their pixels those" in ran.err, ran.err
    assert sorted(path.name for path in Path("some").iterdir()) == ["c.png", "d.png"]
    np.testing.assert_array_equal(np.asarray(Image.open("some/d.png")), decoded["d.png"])


def test_a_file_is_valid_and_described(packed: str, pair: str, aeformat: Any) -> None:
    assert aeformat("validate", packed, *given(pair)).code == 0
    facts = json.loads(aeformat("info", packed, "--json").out)
    n_pixels = sum(height * width for height, width in PHOTOS.values())
    assert (facts["rows"], facts["pixels"], facts["image"]) == (4, n_pixels, [0, 0, 3, "u8"])
    assert (facts["smallest"], facts["largest"]) == ([1, 1], [37, 21])
    assert "bits a pixel" in aeformat("info", packed).out


def test_eval_has_both_kinds_of_psnr_and_bits_a_pixel(
    packed: str, pair: str, photos: Path, decoded: dict[str, np.ndarray], aeformat: Any
) -> None:
    ran = aeformat("eval", packed, "--against", str(photos), "--json", *given(pair))

    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    errors = [((photo(name) / 255 - image / 255) ** 2) for name, image in decoded.items()]
    mean = np.mean([-10 * np.log10(error.mean()) for error in errors])
    pooled = -10 * np.log10(np.concatenate([error.ravel() for error in errors]).mean())
    assert facts["mean_psnr_db"] == pytest.approx(mean) and facts["psnr_db"] == pytest.approx(pooled)
    assert facts["bits_per_pixel"] == pytest.approx(8 * Path(packed).stat().st_size / facts["pixels"])


def test_the_file_does_not_depend_on_the_blocks_it_was_packed_in(pair: str, photos: Path, aeformat: Any) -> None:
    files = []
    for n_rows in ("1", "2", "4096"):
        out = f"{n_rows}.aef"
        assert aeformat("pack", str(photos), "-o", out, "--model", pair, "--receipts", "--batch-rows", n_rows).code == 0
        files.append(Path(out).read_bytes())
    assert files[0] == files[1] == files[2]


def test_changed_latents_are_noticed_by_their_receipt(packed: str, pair: str, aeformat: Any) -> None:
    """The rows of another photograph under the receipts of this one."""
    from aeformat.container.writer import LatentsWriter
    from aeformat.reader import stream_latents

    with Path(packed).open("rb") as file, Path("changed.aef").open("wb") as out:
        latents = stream_latents(file)
        with LatentsWriter(out, latents.header) as writer:
            for block in latents:
                values = block.values.copy()
                values.flat[3] ^= 1
                writer.write(values, block.names, block.receipts.digests)
    ran = aeformat("unpack", "changed.aef", "-o", "out/", *given(pair))
    assert ran.code == 1 and "C7-6" in ran.err and "rows 0 to" in ran.err and not Path("out").exists(), ran.err


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--resize"], "any size"), (["--grayscale"], "takes 3"), (["--refine", "5"], "with a prior"), (["--codec", "rans"], "zstd")],
    ids=str,
)  # fmt: skip
def test_what_does_not_go_is_said_in_a_line(
    pair: str, photos: Path, aeformat: Any, options: list[str], says: str
) -> None:
    ran = aeformat("pack", str(photos), "-o", "out.aef", "--model", pair, *options)
    assert ran.code == 2 and says in ran.err and ran.err.count("\n") == 1, ran.err
    assert not Path("out.aef").exists()


def test_grey_and_transparent_photographs_go_in_on_request(pair: str, photos: Path, aeformat: Any) -> None:
    Image.new("L", (5, 6), 7).save(photos / "e.png")
    Image.new("RGBA", (5, 6), (9, 9, 9, 0)).save(photos / "f.png")
    pack = ("pack", str(photos), "-o", "out.aef", "--model", pair)
    assert "--rgb" in aeformat(*pack).err
    assert "--background" in aeformat(*pack, "--rgb").err
    assert "no colour" in aeformat(*pack, "--background", "whitish").err
    assert aeformat(*pack, "--rgb", "--background", "white").code == 0


def test_without_a_model_photographs_name_the_one_that_is_missing(
    photos: Path, aeformat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "shipped_names", lambda: ["mnist-exact"])
    ran = aeformat("pack", str(photos), "-o", "out.aef")
    assert ran.code == 1 and "photo-3" in ran.err and ran.err.count("\n") == 1, ran.err


@pytest.fixture(scope="module")
def coded_pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a model of any size whose prior has passes."""
    folder = tmp_path_factory.mktemp("model")
    for half in pair_with_passes():
        write_package(half, folder / f"any.{half.role}.aef")
    return str(folder / "any")


def test_photographs_are_refined(coded_pair: str, photos: Path, aeformat: Any) -> None:
    """By a price, by the model's own, from Python as well; the file says the same of every photograph but its pixels."""
    files = []
    for options in ([], ["--refine", "auto"], ["--refine", "30", "--refine-rounds", "3"]):
        ran = aeformat("pack", str(photos), "-o", f"{len(files)}.aef", "--model", coded_pair, "--receipts", *options)
        assert ran.code == 0 and "4 images" in ran.err, ran.err
        files.append(Path(f"{len(files)}.aef"))
        assert aeformat("validate", files[-1], *given(coded_pair)).code == 0
    assert len({file.read_bytes() for file in files}) == 3
    package.pack(photos, "python.aef", model=coded_pair, refine="auto", receipts=True)
    assert Path("python.aef").read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--refine", "0"), "price"),
        (("--refine", "5", "--codec", "zstd"), "--codec rans"),
        (("--refine", "1e9"), "price"),
    ],
    ids=str,
)
def test_a_price_that_means_nothing_is_refused(
    coded_pair: str, photos: Path, aeformat: Any, options: tuple[str, ...], word: str
) -> None:
    ran = aeformat("pack", str(photos), "-o", "out.aef", "--model", coded_pair, *options)

    assert ran.code == 2 and word in ran.err and ran.err.count("\n") == 1, ran.err
    assert not Path("out.aef").exists()


def test_a_folder_of_digits_and_photographs_says_who_chose_the_model(photos: Path, aeformat: Any) -> None:
    """The first image is a digit: the error of the next one advises to name a model, from Python too."""
    Image.new("L", (28, 28)).save(photos / "0.png")
    ran = aeformat("pack", str(photos), "-o", "out.aef")
    assert ran.code == 1 and ran.err.count("\n") == 1, ran.err
    assert "a/one.png" in ran.err and "--model photo-3 with --rgb" in ran.err
    with pytest.raises(package.ImageError) as caught:
        package.pack(photos, "out.aef")
    assert caught.value.hint is package.Hint.NAME_MODEL
    assert "--model" not in aeformat("pack", str(photos), "-o", "out.aef", "--model", "mnist-exact").err
    err = aeformat("pack", str(photos), "-o", "out.aef", "--resize").err
    assert "add --grayscale" in err and "first image" not in err  # who asks for fitting chose the model
    with pytest.raises(package.ImageError) as caught:
        package.pack(photos, "out.aef", resize=True)
    assert caught.value.hint is package.Hint.GRAYSCALE
    assert not Path("out.aef").exists()
