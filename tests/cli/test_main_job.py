"""The main job through the command line: images -> .aef -> images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.images import demo_digits
from aeformat.model import places, store
from aeformat.reader import stream_latents

FLOAT = "mnist-128-64-128"
EXACT = "mnist-exact"
STORED = [
    (FLOAT, "text19", "none"),
    (FLOAT, "f64le", "none"),
    (FLOAT, "f64le", "zstd"),
    (FLOAT, "f32le", "zstd"),
    (EXACT, "u8", "none"),
    (EXACT, "u8", "zstd"),
    (EXACT, "text19", "zstd"),
    (EXACT, "f64le", "none"),
]


def latents_of(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.concatenate([block.values for block in stream_latents(file)])


def content_id(aeformat, path: Path) -> str:
    return json.loads(aeformat("info", path, "--json").out)["content_id"]


@pytest.mark.parametrize(("model", "encoding", "codec"), STORED)
def test_what_comes_out_is_what_the_decoder_makes_of_what_went_in(aeformat, folder, model, encoding, codec):
    """Latents read back bit-equal to the encoder's in every encoding, and the images are the decoder's."""
    packed = aeformat(
        "pack",
        "digits.npy",
        "-o",
        "d.aef",
        "--model",
        model,
        "--encoding",
        encoding,
        "--codec",
        codec,
        "--backend",
        "numpy",
    )
    unpacked = aeformat("unpack", "d.aef", "-o", "out.npy", "--backend", "numpy")

    assert (packed.code, unpacked.code) == (0, 0), packed.err + unpacked.err
    encoder, decoder = (NumpyBackend().load(half) for half in store.find_pair(model))
    latents = encoder.run(demo_digits())
    assert latents_of(folder / "d.aef").tobytes() == latents.tobytes()
    assert np.array_equal(np.load("out.npy"), decoder.run(latents)[..., 0])
    assert aeformat("validate", "d.aef").code == 0


def test_twins_share_a_content_id_and_convert_back_to_the_same_bytes(aeformat, folder):
    """text19, f64le and f64le with zstd hold the same content; there and back gives the first file again."""
    aeformat("pack", "digits.npy", "-o", "text.aef", "--model", FLOAT, "--encoding", "text19", "--codec", "none")
    assert aeformat("convert", "text.aef", "plain.aef", "--encoding", "f64le").code == 0
    assert aeformat("convert", "plain.aef", "zstd.aef", "--codec", "zstd").code == 0
    assert aeformat("convert", "zstd.aef", "back.aef", "--encoding", "text19", "--codec", "none").code == 0

    ids = {content_id(aeformat, folder / name) for name in ("text.aef", "plain.aef", "zstd.aef", "back.aef")}
    assert len(ids) == 1
    assert (folder / "text.aef").read_bytes() == (folder / "back.aef").read_bytes()
    assert latents_of(folder / "plain.aef").tobytes() == latents_of(folder / "zstd.aef").tobytes()


@pytest.mark.parametrize("n_rows", [1, 7, 64, 99])
def test_the_batch_size_does_not_show_in_the_file(aeformat, folder, n_rows):
    """The same images give the same bytes, however many are encoded at once."""
    for model in (EXACT, FLOAT):
        aeformat("pack", "digits.npy", "-o", "a.aef", "--model", model, "--force")
        aeformat("pack", "digits.npy", "-o", "b.aef", "--model", model, "--batch-rows", n_rows, "--force")
        assert (folder / "a.aef").read_bytes() == (folder / "b.aef").read_bytes()


def test_tensorflow_and_numpy_make_the_same_file_and_the_same_pixels(aeformat, folder, tensorflow):
    """Exact models: same .aef bytes and same pixels out of both backends, at different batch sizes."""
    for backend, n_rows in (("tensorflow", 4096), ("tensorflow", 7), ("numpy", 13)):
        ran = aeformat(
            "pack", "digits.npy", "-o", f"{backend}-{n_rows}.aef", "--backend", backend, "--batch-rows", n_rows
        )
        assert ran.code == 0, ran.err
    files = {path.read_bytes() for path in folder.glob("*.aef")}
    assert len(files) == 1
    for backend in ("tensorflow", "numpy"):
        assert aeformat("unpack", "numpy-13.aef", "-o", f"{backend}.npy", "--backend", backend).code == 0
    assert np.array_equal(np.load("tensorflow.npy"), np.load("numpy.npy"))


def test_a_folder_comes_back_under_its_names(aeformat, folder):
    """Names of a folder of PNG files are kept in the file and restored."""
    from PIL import Image

    names = ["a/one.png", "a/two.png", "three.png"]
    for name, image in zip(names, demo_digits(), strict=False):
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    assert aeformat("pack", "in", "-o", "n.aef").code == 0
    assert aeformat("unpack", "n.aef", "-o", "out/").code == 0

    assert sorted(p.relative_to("out").as_posix() for p in Path("out").rglob("*.png")) == sorted(names)
    decoder = NumpyBackend().load(store.find_pair(EXACT)[1])
    encoder = NumpyBackend().load(store.find_pair(EXACT)[0])
    expected = decoder.run(encoder.run(demo_digits()[:3]))
    for name, image in zip(names, expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(Path("out") / name)), image[..., 0])


@pytest.mark.parametrize("out", ["o.npy", "o.npz", "o-idx3-ubyte", "o-idx3-ubyte.gz"])
def test_outputs_can_be_packed_again(aeformat, folder, out):
    """Every kind of output is also an input, and holds the same images."""
    aeformat("pack", "digits.npy", "-o", "d.aef")
    assert aeformat("unpack", "d.aef", "-o", out).code == 0
    assert aeformat("pack", out, "-o", "again.aef").code == 0
    evaluated = aeformat("unpack", "d.aef", "-o", "ref.npy")
    assert evaluated.code == 0
    assert aeformat("pack", "ref.npy", "-o", "ref.aef").code == 0
    assert (folder / "again.aef").read_bytes() == (folder / "ref.aef").read_bytes()


def test_an_embedded_decoder_is_enough(aeformat, folder, monkeypatch):
    """A file that carries its decoder unpacks where no model is known."""
    aeformat("pack", "digits.npy", "-o", "with.aef", "--embed-decoder")
    aeformat("pack", "digits.npy", "-o", "without.aef")
    monkeypatch.setattr(places, "shipped_folder", lambda: folder / "nothing-here")

    assert aeformat("unpack", "with.aef", "-o", "o.npy").code == 0
    missing = aeformat("unpack", "without.aef", "-o", "p.npy")
    assert missing.code == 4
    assert "decoder" in missing.err
    assert not (folder / "p.npy").exists()
    assert aeformat("validate", "with.aef").code == 0


def test_latents_can_be_had_as_they_are(aeformat, folder):
    """unpack --latents writes the stored values and decodes nothing."""
    aeformat("pack", "digits.npy", "-o", "d.aef", "--model", FLOAT)
    assert aeformat("unpack", "d.aef", "--latents", "-o", "l.npy").code == 0
    assert np.load("l.npy").tobytes() == latents_of(folder / "d.aef").tobytes()


def test_eval_reports_what_numpy_says(aeformat, folder):
    """MSE, RMSE, PSNR are those of the pixels in 0..1."""
    aeformat("pack", "digits.npy", "-o", "d.aef")
    aeformat("unpack", "d.aef", "-o", "o.npy")
    facts = json.loads(aeformat("eval", "d.aef", "--against", "digits.npy", "--json").out)

    error = (np.load("o.npy").astype(float) - np.load("digits.npy")) / 255
    assert facts["mse"] == pytest.approx(np.mean(error**2))
    assert facts["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert facts["psnr_db"] == pytest.approx(-10 * np.log10(np.mean(error**2)))
    assert facts["bytes_per_image"] == (folder / "d.aef").stat().st_size / 100


def test_demo_runs_offline_and_shows_a_picture(aeformat, folder, monkeypatch):
    """The demo needs nothing but what is installed, says which images it uses, and leaves one PNG."""
    monkeypatch.delenv("AEFORMAT_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(folder / "no-keras"))
    ran = aeformat("demo")

    assert ran.code == 0, ran.err
    assert "digits drawn for this demo" in ran.out
    assert "text19" in ran.out and "PSNR" in ran.out and "PNG" in ran.out
    assert (folder / "aeformat-demo.png").read_bytes().startswith(b"\x89PNG")
    before = (folder / "aeformat-demo.png").read_bytes()
    assert aeformat("demo", "-o", "aeformat-demo.png").code == 2  # what is there is not replaced unasked
    assert "aeformat-demo-2.png" in aeformat("demo").out
    assert (folder / "aeformat-demo.png").read_bytes() == before


@pytest.mark.parametrize(("given", "found"), [(None, "1"), ("3", "3")])
def test_a_command_computes_each_product_in_one_thread(given, found):
    """Set before NumPy is imported; who has said how many is obeyed."""
    code = "import atexit, os; from aeformat.cli.main import run; atexit.register(lambda: print(os.environ['OPENBLAS_NUM_THREADS'])); run()"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}

    ran = subprocess.run(
        [sys.executable, "-c", code, "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == found


def test_numpy_is_not_imported_before_the_command_has_set_its_threads():
    """OpenBLAS reads how many threads it may have once, when it is loaded."""
    code = "import sys, aeformat.cli.main; sys.exit('numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
