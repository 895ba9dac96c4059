"""What a command may not write over, and what it says of a folder or a number that it leaves out."""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aeformat.images import demo_digits

POSIX = pytest.mark.skipif(os.name != "posix", reason="links of all kinds")


@pytest.fixture
def packed(aeformat, folder) -> Path:
    """digits.aef, and a folder with three images."""
    from PIL import Image

    assert aeformat("pack", "digits.npy", "-o", "digits.aef").code == 0
    Path("set/deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "deep/c.png")):
        Image.fromarray(demo_digits()[number, ..., 0]).save(Path("set", name))
    return folder / "digits.aef"


def spellings(name: str) -> list[str]:
    """Other names of one file: through a folder, absolute, by a link of either kind."""
    Path("sub").mkdir()
    Path("symbolic.npy").symlink_to(name)
    os.link(name, "hard.npy")
    return [name, f"./{name}", f"sub/../{name}", str(Path(name).absolute()), "symbolic.npy", "hard.npy"]


@POSIX
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("digits.npy", ["pack", "digits.npy", "-o", "OUT"]),
        ("digits.npy", ["pack", "set/a.png", "digits.npy", "-o", "OUT"]),
        ("digits.aef", ["convert", "digits.aef", "OUT"]),
        ("digits.aef", ["unpack", "digits.aef", "-o", "OUT"]),
        ("digits.aef", ["unpack", "digits.aef", "--latents", "-o", "OUT"]),
        ("digits.npz", ["pack", "digits.npz:a", "-o", "OUT"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_input_is_never_the_output(aeformat, folder, packed, name, command):
    """Whatever it is called, also with --force, which nobody proposes; nothing is lost and nothing is made."""
    np.savez("digits.npz", a=np.load("digits.npy"), b=np.zeros(3))
    before = Path(name).read_bytes()
    outs = spellings(name)
    there = sorted(folder.rglob("*"))
    for out in outs:
        ran = aeformat(*[out if part == "OUT" else part for part in command], "--force")
        assert ran.code == 2 and ran.err.count("\n") == 1, ran.err
        assert "would be lost" in ran.err and "force" not in ran.err
        assert "would be lost" in aeformat(*[out if part == "OUT" else part for part in command]).err
        assert Path(name).read_bytes() == before
    assert sorted(folder.rglob("*")) == there


@POSIX
def test_an_image_in_a_folder_that_is_read_is_not_replaced(aeformat, folder, packed):
    """But a container may lie beside the images, where the next run does not read it."""
    before = Path("set/deep/c.png").read_bytes()
    ran = aeformat("pack", "set", "-o", "set/deep/c.png", "--force")
    assert ran.code == 2 and "would be lost" in ran.err and "force" not in ran.err
    assert Path("set/deep/c.png").read_bytes() == before

    for _ in range(2):
        ran = aeformat("pack", "set", "-o", "set/o.aef", "--force")
        assert ran.code == 0 and "3 images" in ran.err
    assert "left out 1: 1 of kind .aef" in ran.err


@POSIX
def test_a_container_among_the_images_is_not_replaced_by_one_of_them(aeformat, folder, packed):
    """Its rows have names of their own."""
    assert aeformat("pack", "set", "-o", "o.aef").code == 0
    shutil.copy("o.aef", "set/a.png")
    ran = aeformat("unpack", "set/a.png", "-o", "set", "--force")
    assert ran.code == 2 and "would be lost" in ran.err and "force" not in ran.err
    assert Path("set/a.png").read_bytes() == Path("o.aef").read_bytes()


@pytest.mark.parametrize("out", ["m.decoder.aef", "m.encoder.aef"])
@pytest.mark.parametrize("given", ["m", "m.decoder.aef", "."])
def test_a_model_that_is_read_is_not_replaced(aeformat, model, given, out):
    """By whatever name it was given; nor is a decoder."""
    before = Path(out).read_bytes()
    ran = aeformat("pack", "digits.npy", "--model", given, "-o", out, "--force")
    assert ran.code == 2 and "would be lost" in ran.err and "force" not in ran.err
    assert aeformat("pack", "digits.npy", "--model", "m", "-o", "d.aef").code == 0
    ran = aeformat("convert", "d.aef", "m.decoder.aef", "--decoder", "m.decoder.aef", "--codec", "zstd", "--force")
    assert ran.code == 2 and "would be lost" in ran.err
    assert Path(out).read_bytes() == before


@POSIX
def test_standard_input_is_not_replaced_either(aeformat, folder, packed, monkeypatch):
    """The file that the shell has opened."""
    handle = os.open("digits.npy", os.O_RDONLY)
    saved = os.dup(0)
    os.dup2(handle, 0)
    try:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.FileIO(0, closefd=False)))
        ran = aeformat("pack", "-", "-o", "digits.npy", "--force")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(handle)
    assert ran.code == 2 and "would be lost" in ran.err


@pytest.mark.parametrize(
    "command",
    [
        ["pack", "digits.npy", "-o", ""],
        ["unpack", "digits.aef", "-o", ""],
        ["unpack", "digits.aef", "--output="],
        ["convert", "digits.aef", ""],
        ["demo", "-o", ""],
        ["model", "export", "mnist-exact", "-o", ""],
        ["model", "import", "x.keras", "-o", "", "--bottleneck", "z"],
        ["model", "show", "mnist-exact", "-o", ""],
        ["info", ""],
        ["unpack", "", "-o", "o.npy"],
    ],
    ids=" ".join,
)
def test_an_empty_name_is_a_usage_error(aeformat, folder, packed, command):
    """An unset shell variable is not the current folder."""
    before = sorted(folder.rglob("*"))
    ran = aeformat(*command, *([] if command[0] == "info" else ["--force"]))
    assert ran.code == 2 and ran.err.count("\n") == 1 and "no name" in ran.err
    assert sorted(folder.rglob("*")) == before


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o664])
@pytest.mark.parametrize(
    "command",
    [
        ["pack", "digits.npy", "-o", "out.npy"],
        ["unpack", "digits.aef", "-o", "out.npy"],
        ["convert", "digits.aef", "out.npy"],
    ],
    ids=lambda command: command[0],
)
def test_the_permissions_of_what_is_replaced_are_kept(aeformat, folder, packed, command, mode):
    """By every command that writes a file, through a link too."""
    Path("real").mkdir()
    Path("real/out.npy").touch(mode)
    Path("real/out.npy").chmod(mode)
    Path("out.npy").symlink_to("real/out.npy")
    assert aeformat(*command, "--force").code == 0
    assert Path("out.npy").is_symlink() and Path("real/out.npy").stat().st_mode & 0o777 == mode
    assert Path("real/out.npy").stat().st_size > 100


@POSIX
def test_a_file_that_runs_as_its_owner_is_not_replaced_by_one(aeformat, folder, packed):
    """What is written is other bytes than those that were given this right."""
    for command, out in (
        (("convert", "digits.aef", "o.aef"), "o.aef"),
        (("unpack", "set.aef", "-o", "out"), "out/a.png"),
    ):
        assert aeformat("pack", "set", "-o", "set.aef", "--force").code == 0
        Path(out).parent.mkdir(exist_ok=True)
        Path(out).touch()
        Path(out).chmod(0o6755)
        assert aeformat(*command, "--force").code == 0
        assert Path(out).stat().st_size and stat.S_IMODE(Path(out).stat().st_mode) == 0o755


@POSIX
def test_behind_a_link_to_nothing_nothing_is_replaced(aeformat, folder, packed):
    """So it needs no --force, and stays a link; the second time it does."""
    Path("link").symlink_to("new.aef")
    assert aeformat("pack", "digits.npy", "-o", "link").code == 0
    assert Path("link").is_symlink() and Path("new.aef").read_bytes() == Path("digits.aef").read_bytes()
    ran = aeformat("pack", "digits.npy", "-o", "link")
    assert ran.code == 2 and "link exists; use --force" in ran.err


@pytest.mark.parametrize(
    ("encoding", "value", "says"),
    [("f16le", 65_520.0, "bf16le or f32le hold it"), ("f16le", -1e30, "bf16le"), ("bf16le", 3.4e38, "f32le holds it")],
)
def test_a_latent_that_is_too_large_is_named(aeformat, folder, monkeypatch, encoding, value, says):
    """With its row, counted from the first, and what holds it."""
    from aeformat.backends.numpy_backend import NumpyNetwork

    def run(_, rows):  # by several threads, the blocks in any order: the image says which row it is
        values = np.zeros((len(rows), 64), np.float32)
        values[rows.reshape(len(rows), -1).all(axis=1), 5] = value
        return values

    monkeypatch.setattr(NumpyNetwork, "run", run)
    images = np.zeros((100, 28, 28), np.uint8)
    images[[42, 57, 96]] = 255
    np.save("digits.npy", images)
    ran = aeformat(
        "pack", "digits.npy", "-o", "o.aef", "--model", "mnist-128-64-128", "--backend", "numpy", "--encoding", encoding,
        "--batch-rows", "10",
    )  # fmt: skip
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert "row 42" in ran.err and f"too large for {encoding}" in ran.err and says in ran.err
    assert not Path("o.aef").exists()


def test_what_is_left_out_of_a_folder_is_said(aeformat, folder, packed):
    """By the commands that read folders, on stderr; the result is as without."""
    Path("set/notes.txt").touch()
    said = "aeformat: set: left out 1: 1 of kind .txt, which is not read here (notes.txt)\n"
    ran = aeformat("pack", "set", "-o", "o.aef")
    assert ran.code == 0 and ran.err.startswith(said) and "3 images" in ran.err
    ran = aeformat("eval", "o.aef", "--against", "set")
    assert ran.code == 0 and ran.err == said and ran.out.startswith("3 images")


@POSIX
def test_an_image_with_an_unsafe_name_does_not_keep_the_others_out(aeformat, folder, packed):
    """It is counted and shown, in one line."""
    for name in (b"set/two\nlines.png", b"set/latin\xe9.png"):
        shutil.copy("set/a.png", os.fsdecode(name))
    ran = aeformat("pack", "set", "-o", "o.aef")
    assert ran.code == 0 and "o.aef: 3 images" in ran.err and ran.err.count("\n") == 2
    assert r"set: left out 2: 1 whose name holds a control character (two\nlines.png), 1 whose" in ran.err
    assert r"(latin\udce9.png)" in ran.err
