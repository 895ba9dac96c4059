"""Bad input: one line, the right exit code, and no half-written file."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.errors import DecoderMissing
from aeformat.images import demo_digits
from aeformat.model import places, store


@pytest.fixture
def packed(aeformat, folder) -> Path:
    """digits.aef: the 100 digits, default model."""
    assert aeformat("pack", "digits.npy", "-o", "digits.aef").code == 0
    return folder / "digits.aef"


def listing() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def one_line(err: str) -> bool:
    return err.count("\n") == 1 and err.startswith("aeformat: ")


def test_not_an_aef(aeformat, folder):
    """Something else is refused as what it is."""
    for command in (
        ["unpack", "digits.npy", "-o", "o.npy"],
        ["info", "digits.npy"],
        ["convert", "digits.npy", "o.aef"],
    ):
        ran = aeformat(*command)
        assert ran.code == 1 and one_line(ran.err) and "C2-1" in ran.err
    assert aeformat("validate", "digits.npy").code == 1
    assert listing() == ["digits.npy"]


@pytest.mark.parametrize("kept", [0, 5, 30, 200, 300, -1, -64, -65])
def test_a_cut_file_is_incomplete(aeformat, folder, packed, kept):
    """A file cut anywhere: exit 3 from every command that reads it, and nothing written."""
    data = packed.read_bytes()
    (folder / "cut.aef").write_bytes(data[:kept] if kept >= 0 else data[: len(data) + kept])
    for command in (["unpack", "cut.aef", "-o", "o.npy"], ["convert", "cut.aef", "o.aef"], ["validate", "cut.aef"]):
        assert aeformat(*command).code == 3
    assert listing() == ["cut.aef", "digits.aef", "digits.npy"]


def test_recover_returns_every_row_of_every_whole_chunk(aeformat, folder):
    """A cut inside the third chunk: the rows of the first two come back, exit 3."""
    decoder = store.find_pair("mnist-exact")[1]
    latents = np.arange(30 * 64, dtype=np.uint8).reshape(30, 64)
    sink = io.BytesIO()
    header = LatentsHeader(decoder=decoder.model_id, dims=(64,), image=(28, 28, 1), encoding="u8")
    with LatentsWriter(sink, header, chunk_rows=10) as writer:
        writer.write(latents)
    data = sink.getvalue()
    Path("cut.aef").write_bytes(data[: len(data) - 64 - 104 - 32 - 5])  # into the third chunk's payload

    ran = aeformat("unpack", "cut.aef", "-o", "o.npy", "--recover")
    assert ran.code == 3 and "recovered 20 rows" in ran.err
    assert len(np.load("o.npy")) == 20
    ran = aeformat("unpack", "cut.aef", "--latents", "-o", "l.npy", "--recover")
    assert ran.code == 3
    assert np.array_equal(np.load("l.npy"), latents[:20])


def test_recover_of_a_damaged_chunk_keeps_what_stands_before_it(aeformat, folder):
    """A flipped bit in the second of three chunks: ten rows come back, exit 3."""
    decoder = store.find_pair("mnist-exact")[1]
    sink = io.BytesIO()
    header = LatentsHeader(decoder=decoder.model_id, dims=(64,), image=(28, 28, 1), encoding="u8")
    with LatentsWriter(sink, header, chunk_rows=10) as writer:
        writer.write(np.zeros((30, 64), np.uint8))
    data = bytearray(sink.getvalue())
    data[24 + len(header.to_bytes()) + 32 + 640 + 32 + 5] ^= 1
    Path("bad.aef").write_bytes(data)

    assert aeformat("unpack", "bad.aef", "-o", "o.npy").code == 1
    assert aeformat("unpack", "bad.aef", "-o", "o.npy", "--recover").code == 3
    assert len(np.load("o.npy")) == 10


def test_one_flipped_bit_anywhere_is_refused(aeformat, folder, packed):
    """Whichever bit it is: validate says so, unpack writes nothing."""
    data = packed.read_bytes()
    rng = np.random.default_rng(7)
    for at in [*range(0, 24), *rng.integers(24, len(data), 40), *range(len(data) - 64, len(data), 5)]:
        bad = bytearray(data)
        bad[at] ^= 1 << rng.integers(8)
        (folder / "bad.aef").write_bytes(bad)
        assert aeformat("validate", "bad.aef").code in (1, 3), at
        assert aeformat("unpack", "bad.aef", "-o", "o.npy").code in (1, 3), at
    assert not (folder / "o.npy").exists()


def test_a_future_version_is_named(aeformat, folder, packed):
    """Major 2 is refused by its number before anything else is looked at."""
    data = bytearray(packed.read_bytes())
    data[8] = 2
    packed.write_bytes(data)
    ran = aeformat("unpack", "digits.aef", "-o", "o.npy")
    assert ran.code == 1 and one_line(ran.err) and "C2-2" in ran.err and "version 2" in ran.err


def test_a_wrong_decoder_is_refused_before_a_pixel(aeformat, folder, packed, monkeypatch):
    """exit 4, and no network has run on the file's rows."""
    wrong = places.shipped_folder() / "mnist-128-64-128.decoder.aef"
    from aeformat.backends import select

    monkeypatch.setattr(select, "select_backend", lambda *a, **k: pytest.fail("a backend was asked for"))
    ran = aeformat("unpack", "digits.aef", "-o", "o.npy", "--decoder", wrong)
    assert ran.code == 4 and one_line(ran.err)
    ran = aeformat(
        "unpack", "digits.aef", "-o", "o.npy", "--decoder", places.shipped_folder() / "mnist-exact.encoder.aef"
    )
    assert ran.code == 4 and one_line(ran.err)
    assert not (folder / "o.npy").exists()


def test_a_missing_decoder_is_named(aeformat, folder):
    """exit 4, with the id to look for."""
    header = LatentsHeader(decoder=bytes(range(32)), dims=(64,), image=(28, 28, 1), encoding="u8")
    with Path("lost.aef").open("wb") as file, LatentsWriter(file, header) as writer:
        writer.write(np.zeros((1, 64), np.uint8))
    ran = aeformat("unpack", "lost.aef", "-o", "o.npy")
    assert ran.code == 4 and one_line(ran.err) and "00010203" in ran.err
    with pytest.raises(DecoderMissing):
        store.find_decoder(bytes(range(32)))
    assert aeformat("unpack", "lost.aef", "-o", "l.npy", "--latents").code == 0  # the latents themselves need none


def test_nan_in_the_latents_is_refused(aeformat, folder, monkeypatch):
    """A network that makes NaN: exit 1, the rule, and no file."""
    from aeformat.backends.numpy_backend import NumpyNetwork

    monkeypatch.setattr(NumpyNetwork, "run", lambda self, rows: np.full((len(rows), 64), np.nan, np.float32))
    ran = aeformat("pack", "digits.npy", "-o", "n.aef", "--model", "mnist-128-64-128", "--backend", "numpy")
    assert ran.code == 1 and one_line(ran.err) and "C5-3" in ran.err and "row 0" in ran.err
    assert listing() == ["digits.npy"]


INPUTS = {
    "a PNG that is none": (lambda: Path("x.png").write_bytes(b"GIF99 nonsense"), "x.png", 1),
    "an empty folder": (lambda: Path("x").mkdir(), "x", 1),
    "no such file": (lambda: None, "nowhere.npy", 2),
    "floats": (lambda: np.save("x.npy", np.zeros((3, 28, 28))), "x.npy", 1),
    "another size": (lambda: np.save("x.npy", np.zeros((3, 32, 32), np.uint8)), "x.npy", 1),
    "colour": (lambda: np.save("x.npy", np.zeros((3, 28, 28, 3), np.uint8)), "x.npy", 1),
    "no images": (lambda: np.save("x.npy", np.zeros((0, 28, 28), np.uint8)), "x.npy", 1),
    "a pickle": (lambda: np.save("x.npy", np.array([{}], object), allow_pickle=True), "x.npy", 1),
}


@pytest.mark.parametrize(("make", "name", "code"), INPUTS.values(), ids=INPUTS)
def test_inputs_that_do_not_fit(aeformat, folder, make, name, code):
    """Refused with one line that names the input; nothing is written."""
    make()
    before = listing()
    ran = aeformat("pack", name, "-o", "o.aef", "--model", "mnist-exact")
    assert ran.code == code and one_line(ran.err) and name in ran.err
    assert listing() == before


def test_misfits_name_the_shape_and_the_way_out(aeformat, folder):
    """A 32 x 32 colour image: the error names what is expected; --resize --grayscale make it fit."""
    from PIL import Image

    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save("c.png")
    ran = aeformat("pack", "c.png", "-o", "o.aef", "--model", "mnist-exact")
    assert ran.code == 1 and "28" in ran.err and "--" in ran.err
    assert aeformat("pack", "c.png", "-o", "o.aef", "--model", "mnist-exact", "--resize", "--grayscale").code == 0


def test_an_existing_output_is_kept(aeformat, folder, packed):
    """Without --force nothing is replaced, and nothing is computed first."""
    before = packed.read_bytes()
    ran = aeformat("pack", "digits.npy", "-o", "digits.aef", "--model", "mnist-128-22-128")
    assert ran.code == 2 and one_line(ran.err) and "--force" in ran.err
    assert packed.read_bytes() == before
    np.save("o.npy", np.zeros(3))
    assert aeformat("unpack", "digits.aef", "-o", "o.npy").code == 2
    assert aeformat("unpack", "digits.aef", "-o", "o.npy", "--force").code == 0


def test_a_full_disk_leaves_nothing(aeformat, folder, packed, monkeypatch):
    """ENOSPC while writing: exit 1, one line, no file and no temporary file."""
    import aeformat.atomic as atomic

    create = atomic._create

    def full(path: Path):
        file = create(path)

        class Full:
            def write(self, data: bytes) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def __getattr__(self, name: str) -> object:
                return getattr(file, name)

        return Full()

    monkeypatch.setattr(atomic, "_create", full)
    before = listing()
    for command in (["pack", "digits.npy", "-o", "o.aef"], ["unpack", "digits.aef", "-o", "o.npy"]):
        ran = aeformat(*command)
        assert ran.code == 1 and one_line(ran.err) and "space" in ran.err.lower()
        assert listing() == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals to a child process need POSIX")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_ctrl_c_while_packing_leaves_nothing(folder, name, code):
    """Interrupted in the middle of a stream: exit 130 (143 for TERM, 129 for HUP), and no file."""
    child = subprocess.Popen(
        [sys.executable, "-m", "aeformat", "pack", "-", "-o", "o.aef"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    head = io.BytesIO()
    np.save(head, np.tile(demo_digits()[..., 0], (100, 1, 1)))
    child.stdin.write(head.getvalue()[: 5000 * 784])
    child.stdin.flush()
    for _ in range(2400):
        if any(path.name.startswith(".aeformat-tmp-") for path in Path().iterdir()):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the command never began to write")
    child.send_signal(getattr(signal, name))
    _, err = child.communicate(timeout=300)
    assert child.returncode == code, err.decode()
    assert b"Traceback" not in err
    assert listing() == ["digits.npy"]


def test_usage_errors_are_one_line(aeformat, folder):
    """Exit 2 and one line, for an unknown command, option or value."""
    for command in (["packs"], ["pack"], ["pack", "digits.npy", "-o", "o.aef", "--level", "99"],
                    ["pack", "digits.npy", "-o", "o.aef", "--model", "no-such-model"],
                    ["pack", "digits.npy", "-o", "o.aef", "--model", "mnist-128-64-128", "--encoding", "u8"],
                    ["pack", "digits.npy", "-o", "o.aef", "--codec", "none", "--level", "9"],
                    ["demo", "-o", "nowhere/x.png"], ["demo", "-o", "x.jpg"], ["pack", "", "-o", "o.aef"],
                    ["unpack", "digits.npy", "-o", "o.jpeg2000"]):  # fmt: skip
        ran = aeformat(*command)
        assert ran.code in (1, 2) and ran.err.count("\n") == 1, ran.err
    assert listing() == ["digits.npy"]


def test_a_model_package_is_no_file_of_latents(aeformat, folder):
    """unpack says what the file is instead."""
    ran = aeformat("unpack", places.shipped_folder() / "mnist-exact.decoder.aef", "-o", "o.npy")
    assert ran.code == 2 and one_line(ran.err) and "model package" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        ("--token-file", "t"),
        ("--ca-file", "c"),
        ("--model-policy", "auto"),
        ("--image-bytes", "5"),
        ("--registry", "http://127.0.0.1:1/", "--decoder", "x.aef"),
    ],
    ids=lambda options: options[0],
)
def test_an_option_that_would_do_nothing_is_a_usage_error(aeformat, folder, packed, options):
    """unpack without --registry asks no server, and with --decoder none is needed."""
    ran = aeformat("unpack", "digits.aef", "-o", "o.npy", *options)
    assert ran.code == 2 and one_line(ran.err) and f"{options[0]} does nothing" in ran.err
    assert not (folder / "o.npy").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are POSIX")
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["pack", "digits.npy", "-o", "o.aef", "--codec", "none"], "o.aef"),
        (["unpack", "digits.aef", "-o", "o.npy"], "o.npy"),
        (["unpack", "digits.aef", "-o", "out/"], "out/"),
        (["convert", "digits.aef", "o.aef", "--codec", "none"], "o.aef"),
        (["pack", "digits.npy", "-o", "-", "--codec", "none"], "standard output"),
    ],
)
def test_a_disk_without_room_is_named(folder, packed, command, name):
    """The file that could not be written stands in the one line of the error; nothing of it stays."""
    before = listing()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))"
    run = f"{limit}; import sys; from aeformat.cli.main import run; run()"
    with (folder / "stdout").open("wb") as out:
        done = subprocess.run([sys.executable, "-c", run, *command], stdout=out, stderr=subprocess.PIPE, text=True)
    (folder / "stdout").unlink()
    assert done.returncode == 1 and one_line(done.stderr), done.stderr
    assert done.stderr.startswith(f"aeformat: {name}") and os.strerror(errno.EFBIG) in done.stderr
    assert listing() == before
