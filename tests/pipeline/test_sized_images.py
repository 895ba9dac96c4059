"""Photographs of any size from Python: lists of arrays in, lists of arrays out, files in between."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from model.test_pair import FREE_LATENTS, SIZES, free_halves

import aeformat
from aeformat.container import limits
from aeformat.container.ragged import RaggedRows
from aeformat.errors import ImageError, UsageError, ValueInvalid
from aeformat.images.files import save_png
from aeformat.model.file_io import read_package, write_package
from aeformat.model.graph import Graph
from aeformat.model.manifest import Endpoint
from aeformat.model.pair import build_pair
from aeformat.model.reference import golden_output
from aeformat.model.values import Value
from aeformat.pipeline import default_model
from aeformat.pipeline.evaluate import ErrorSum
from tools.build_vectors.passes import PASSES

SHAPES = [(9, 4), (9, 4), (5, 6), (1, 1), (9, 4), (30, 41), (2, 3)]
IMAGES = [np.random.default_rng(i).integers(0, 256, (*shape, 3), dtype=np.uint8) for i, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> aeformat.Model:
    folder = tmp_path_factory.mktemp("model")
    golden = [np.arange(2 * h * w * 3, dtype=np.uint8).reshape(2, h, w, 3) for h, w in SIZES]
    for half in build_pair(*free_halves(), golden, latents=FREE_LATENTS, name="any"):
        write_package(half, folder / f"any.{half.role}.aef")
    return aeformat.load_model(folder / "any")


@pytest.fixture(scope="module")
def decoded(model: aeformat.Model) -> list[np.ndarray]:
    """Each by itself."""
    return [
        model.decode(model.encode(image[np.newaxis]), image=size)[0] for image, size in zip(IMAGES, SHAPES, strict=True)
    ]


@pytest.fixture(params=[False, True], ids=["plain", "receipts"])
def path(request: pytest.FixtureRequest, model: aeformat.Model, tmp_path: Path) -> Path:
    path = tmp_path / "a.aef"
    done = aeformat.pack(IMAGES, path, model=model, embed_decoder=True, receipts=request.param)
    assert done.n_rows == 7
    return path


def assert_same(found: object, expected: list[np.ndarray]) -> None:
    assert isinstance(found, list)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_list_of_arrays_comes_back_as_one(model: aeformat.Model, decoded: list[np.ndarray]) -> None:
    """The latents know the sizes of their images."""
    latents = aeformat.encode(IMAGES, model)

    assert isinstance(latents, RaggedRows) and latents.image_sizes == SHAPES
    assert_same(aeformat.decode(latents, model), decoded)
    assert_same(aeformat.decode(latents, model, rows=[5, 0]), [decoded[5], decoded[0]])
    assert_same(aeformat.decode(latents, model, rows=2), decoded[2:3])


def test_files_give_lists_in_every_way(path: Path, model: aeformat.Model, decoded: list[np.ndarray]) -> None:
    """Whole, forward, and by any selection of rows."""
    assert_same(aeformat.decode(path), decoded)
    with aeformat.stream(path) as stream:
        assert_same(aeformat.decode(stream), decoded)
    for rows in ([6, 0, 6, 3], range(2, 5), slice(None, None, -1), [1], slice(0, 0)):
        expected = [decoded[i] for i in (rows if not isinstance(rows, slice) else range(7)[rows])]
        assert_same(aeformat.decode(path, rows=rows), expected)
    assert aeformat.validate(path).problems == []


def test_a_created_file_holds_the_same_latents(path: Path, model: aeformat.Model, tmp_path: Path) -> None:
    """RaggedRows go in as they come out of encode."""
    with aeformat.create(tmp_path / "b.aef", decoder=model) as file:
        file.append(aeformat.encode(IMAGES, model))
    with aeformat.open(path) as one, aeformat.open(tmp_path / "b.aef") as other:
        assert one.trailer.content_id == other.trailer.content_id


def test_chunks_and_receipts_follow_their_limits(
    model: aeformat.Model, decoded: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of so many bytes, runs of so many pixels and rows: small ones here, so that each limit is met."""
    monkeypatch.setattr(limits, "WRITER_CHUNK_BYTES", 64)
    monkeypatch.setattr(limits, "WRITER_LARGE_CHUNK_BYTES", 64)  # of bytes, which these latents are
    monkeypatch.setattr(limits, "RECEIPT_PIXELS", 40)
    path = tmp_path / "a.aef"
    aeformat.pack(IMAGES, path, model=model, embed_decoder=True, receipts=True)

    assert aeformat.validate(path).problems == []
    assert_same(aeformat.decode(path, rows=[0, 2, 6]), [decoded[0], decoded[2], decoded[6]])
    with aeformat.stream(path) as blocks:
        n_rows = [len(block.values) for block in blocks]
    assert n_rows == [4, 1, 1, 1]  # of 20, 20, 18, 2 | 20 | 630 | 4 latents


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "no"), ([IMAGES[0].astype(np.float32)], "uint8"), ([np.zeros((4, 5), np.uint8)], "rgb"),
        ([np.zeros((2, 4, 5, 3), np.uint8)], "expected (h, w, c)"), ([np.zeros((4, 0, 3), np.uint8)], "4x0x3"),
    ],
    ids=["none", "floats", "grey", "two in one", "nothing"],
)  # fmt: skip
def test_arrays_that_are_no_images_are_refused(model: aeformat.Model, tmp_path: Path, images: list, says: str) -> None:
    for use in (lambda: aeformat.encode(images, model), lambda: aeformat.pack(images, tmp_path / "a.aef", model=model)):
        with pytest.raises((ImageError, UsageError)) as caught:
            use()
        hint = caught.value.hint
        assert says in str(caught.value) + (hint.text if hint else ""), caught.value
    assert not list(tmp_path.iterdir())


def test_latents_whose_sizes_do_not_go_together_are_refused(model: aeformat.Model, tmp_path: Path) -> None:
    """In a file that says so of itself (M3-12), and a value out of range (M4-7); nothing is left."""
    rows = [np.zeros((5, 2, 2), np.int8)]
    with aeformat.create(tmp_path / "a.aef", decoder=model, embed_decoder=True) as file:
        file.append(rows, images=[(12, 4)])
    with pytest.raises(ValueInvalid, match="M3-12"):
        aeformat.unpack(tmp_path / "a.aef", tmp_path / "out")
    assert [left.name for left in tmp_path.iterdir()] == ["a.aef"]


def test_the_model_is_chosen_by_the_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Digits for the digits' model, all else for that of photographs; who asks for fitting means the first."""
    monkeypatch.setattr(default_model.store, "shipped_names", lambda: ["mnist-exact", "photo-3"])

    def chosen(images: object, **fitted: bool) -> str:
        return default_model.model_for_arrays(images, **({"resize": False, "grayscale": False} | fitted))

    assert chosen(np.zeros((3, 28, 28), np.uint8)) == chosen(np.zeros((3, 28, 28, 1), np.uint8)) == "mnist-exact"
    assert chosen(np.zeros((3, 784), np.uint8)) == "mnist-exact"
    assert chosen(np.zeros((3, 28, 28, 3), np.uint8)) == chosen(IMAGES) == "photo-3"
    assert chosen(np.zeros((3, 99, 28, 3), np.uint8), resize=True, grayscale=True) == "mnist-exact"
    assert chosen(np.zeros((3, 28, 28), np.uint8), rgb=True) == "photo-3"

    np.save(tmp_path / "a.npy", np.zeros((2, 28, 28), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((2, 30, 28, 3), np.uint8))
    np.savez(tmp_path / "c.npz", labels=np.zeros(2, np.uint8), x=np.zeros((2, 28, 28), np.uint8))
    np.savez(tmp_path / "d.npz", labels=np.zeros(2), x=np.zeros((30, 28, 3), np.uint8), y=np.zeros((28, 28), np.uint8))
    (tmp_path / "e.npz").write_bytes(b"no archive")
    models = {
        "a.npy": "mnist-exact", "b.npy": "photo-3", "none": "mnist-exact", "-": "mnist-exact", "c.npz": "mnist-exact",
        "d.npz": "photo-3", "d.npz:x": "photo-3", "d.npz:labels": "mnist-exact", "d.npz:z": "mnist-exact",
        "e.npz": "mnist-exact", "f.npz:x": "mnist-exact",
    }  # fmt: skip
    for name, model in models.items():
        found = default_model.model_for_inputs([str(tmp_path / name)], resize=False, grayscale=False)
        assert found == model, name


def test_a_large_image_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sums as of small ones."""
    left, right = np.stack(IMAGES[:2]), np.stack(IMAGES[:2])[::-1]
    whole = ErrorSum()
    whole.add(left, right)
    monkeypatch.setattr("aeformat.pipeline.evaluate._AT_ONCE", 7)
    parts = ErrorSum()
    parts.add(left, right)

    difference = (left.astype(float) - right) / 255
    assert parts.result() == whole.result()
    assert whole.result().mse == pytest.approx((difference**2).mean())
    assert whole.result().n_pixels == 72


@pytest.fixture(scope="module")
def coded_model() -> aeformat.Model:
    """A decoder whose prior has passes, and an encoder for it."""
    decoder = read_package(PASSES.file().build().data)
    assert decoder.manifest.scale is not None and decoder.input.range is not None
    n, (low, high) = decoder.input.shape[2], decoder.input.range
    encoder = Graph(Value((*decoder.manifest.scale, decoder.output.shape[2]), "u8"), "exact")
    weights = np.arange(-9, 9, dtype=np.int8)[:, np.newaxis][: decoder.output.shape[2] * n].reshape(1, 1, -1, n)
    encoder.add("conv2d", weights=weights, bias=np.zeros(n, np.int32), strides=(1, 1), padding=(0, 0, 0, 0))
    table = np.clip(np.arange(-128, 128), low, high).astype(np.int8)
    encoder.add("lookup", multiplier=np.ones(1, np.int32), shift=4, table=table)
    images = [np.arange(2 * h * w, dtype=np.uint8).reshape(2, h, w, 1) for h, w in SIZES]
    ends = Endpoint((0, 0, 1), "u8"), decoder.input
    latents = lambda half: [golden_output(half, rows) for rows in images]  # noqa: E731
    half = encoder.build("encoder", ends, images, latents, name="coded", decoder=decoder.model_id)
    return aeformat.Model(half, decoder)


def test_latents_of_a_decoder_with_passes_are_coded(coded_model: aeformat.Model, tmp_path: Path) -> None:
    """Codec rans by default; the same content as with zstd; proved, and decoded in any order."""
    grey = [image[..., :1] for image in IMAGES]
    for codec in (None, "zstd"):
        path = tmp_path / f"{codec}.aef"
        aeformat.pack(grey, path, model=coded_model, codec=codec, embed_decoder=True, receipts=True)
    with aeformat.open(tmp_path / "None.aef") as coded, aeformat.open(tmp_path / "zstd.aef") as other:
        assert (coded.header.codec, other.header.codec) == ("rans", "zstd")
        assert coded.trailer.content_id == other.trailer.content_id
    expected = aeformat.decode(tmp_path / "zstd.aef")
    assert [image.shape[:2] for image in expected] == SHAPES
    assert_same(aeformat.decode(tmp_path / "None.aef"), expected)
    assert_same(aeformat.decode(tmp_path / "None.aef", rows=[6, 1]), [expected[6], expected[1]])
    assert aeformat.validate(tmp_path / "None.aef").problems == []


def test_sources_of_image_files_are_recorded(model: aeformat.Model, tmp_path: Path) -> None:
    """Of each row that of its file, however many images are encoded at once; of arrays there are none."""
    (tmp_path / "images").mkdir()
    names = [f"{at}.png" for at in range(len(IMAGES))]
    for name, image in zip(names, IMAGES, strict=True):
        save_png(tmp_path / "images" / name, image)

    aeformat.pack(tmp_path / "images", tmp_path / "a.aef", model=model, sources=True, batch_rows=2)

    with aeformat.open(tmp_path / "a.aef") as latents:
        said = [latents.names(row) for row in range(len(latents))]
    assert [row.names for row in said] == [(name,) for name in names]
    digests = [hashlib.sha256((tmp_path / "images" / name).read_bytes()).digest() for name in names]
    assert [row.sources for row in said] == [(digest,) for digest in digests]
    with pytest.raises(UsageError, match="in no file of their own"):
        aeformat.pack(IMAGES, tmp_path / "b.aef", model=model, sources=True)
