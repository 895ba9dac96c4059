"""`mnist:train` and `mnist:test`: looked for in the documented places, in the documented order."""

from __future__ import annotations

import gzip
import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from aeformat.errors import UsageError
from aeformat.images import ImageFit, locate_mnist, open_source

FIT = ImageFit((28, 28, 1))


@pytest.fixture
def places(tmp_path, monkeypatch, make):
    """Three empty places, and put(place, shade): one image of that shade for training, one 100 lighter for testing."""
    monkeypatch.setenv("AEFORMAT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    keras = tmp_path / "home" / ".keras" / "datasets"

    def put(place: str, shade: int) -> None:
        train, test = np.full((1, 28, 28), shade, np.uint8), np.full((1, 28, 28), shade + 100, np.uint8)
        if place == "keras":
            keras.mkdir(parents=True, exist_ok=True)
            np.savez(keras / "mnist.npz", x_train=train, y_train=[1], x_test=test, y_test=[1])
            return
        folder = tmp_path / "data" / "mnist"
        folder.mkdir(parents=True, exist_ok=True)
        for stem, images in (("train-images", train), ("t10k-images", test)):
            data = make.idx(images)
            (folder / f"{stem}-idx3-ubyte{place}").write_bytes(gzip.compress(data) if place else data)

    return put


def shade(split: str, **options) -> int:
    (block,) = open_source([f"mnist:{split}"], FIT, **options).blocks(10)
    return int(block.images[0, 0, 0, 0]) - 100 * (split == "test")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_order_of_the_places(places, split):
    """AEFORMAT_DATA before the Keras cache before the download, which happens only where all else failed."""
    n_fetched = []

    def fetch() -> None:
        n_fetched.append(1)
        places("keras", 1)

    assert shade(split, fetch_mnist=fetch) == 1
    assert shade(split, fetch_mnist=fetch) == 1
    places(".gz", 2)
    assert shade(split) == 2
    places("", 3)
    assert shade(split) == 3
    assert len(n_fetched) == 1


def test_its_rows_can_have_names(places, tmp_path, read):
    """Beside image files they are called mnist-test/00000.png and so on."""
    places("", 7)
    Image.new("L", (28, 28)).save(tmp_path / "x.png")
    _, names = read(open_source(["mnist:test", str(tmp_path / "x.png")], FIT))
    assert names == ["mnist-test/00000.png", "x.png"]


def test_keras_can_be_told_where_its_cache_is(places, tmp_path, monkeypatch):
    """$KERAS_HOME is where Keras itself looks."""
    places("keras", 5)
    shutil.move(tmp_path / "home" / ".keras", tmp_path / "elsewhere")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    assert shade("test") == 5
    assert locate_mnist("train").key == "x_train"


def no_network() -> None:
    raise OSError("URL fetch failure:\n no network")


@pytest.mark.parametrize("fetch", [None, no_network, lambda: None])
@pytest.mark.parametrize("is_set", [True, False])
def test_where_all_fails_one_line_says_what_to_put_where(places, monkeypatch, fetch, is_set):
    """The file, the folder, and why the download did not work."""
    if not is_set:
        monkeypatch.delenv("AEFORMAT_DATA")
    with pytest.raises(UsageError) as caught:
        locate_mnist("test", fetch)

    message = str(caught.value)
    assert "t10k-images-idx3-ubyte.gz" in message
    assert "mnist.npz" in message
    assert ("AEFORMAT_DATA is not set" in message) is not is_set
    assert ("no network" in message) is (fetch is no_network)
    assert "\n" not in message


@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_the_real_thing(mnist_dir, tmp_path, monkeypatch, split, n):
    """60,000 and 10,000 images, the training ones with the digest that everybody's have."""
    (tmp_path / "mnist").symlink_to(mnist_dir)
    monkeypatch.setenv("AEFORMAT_DATA", str(tmp_path))
    source = open_source([f"mnist:{split}"], FIT)
    digest, n_read = hashlib.md5((2051).to_bytes(4, "big") + b"".join(x.to_bytes(4, "big") for x in (n, 28, 28))), 0
    for block in source.blocks(4096):
        digest.update(block.images.tobytes())
        n_read += len(block.images)

    assert source.n_rows == n_read == n
    assert split == "test" or digest.hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
