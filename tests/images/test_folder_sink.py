"""A folder of PNG files: the rows' names, and never a byte outside the folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeformat.errors import AeformatError, ImageError, UsageError
from aeformat.images import ImageFit, open_sink, open_source
from aeformat.images import folder as folder_module
from aeformat.images.file_names import name_key

SHAPE = (4, 3, 1)
POSIX = pytest.mark.skipif(os.name != "posix", reason="symbolic links")


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def write(out: str | Path, images: np.ndarray, names: list[str] | None, *, force: bool = False) -> None:
    with open_sink(str(out), images.shape[1:], len(images), force=force) as sink:
        for first in range(0, len(images), 2):
            sink.write(images[first : first + 2], names[first : first + 2] if names else None)


@pytest.mark.parametrize("out", ["new", "new/", "dotted.d/", "empty", "empty.npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_written_and_read_again(tmp_path, make, read, out, channels):
    """A path without suffix, or that ends in /, or an existing empty folder; the pixels come back."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.npy").mkdir()
    expected, names = make.pictures(5, channels=channels), ["b.png", "a/x.png", "a/y.png", "z.png", "y.PNG"]
    write(f"{tmp_path}/{out}", expected, names)

    images, read_names = read(open_source([str(tmp_path / out)], ImageFit((4, 3, channels))))
    assert read_names == sorted(names)
    np.testing.assert_array_equal(images, expected[np.argsort(names)])


@pytest.mark.parametrize(("n_rows", "last"), [(3, "00002.png"), (None, "00002.png"), (100_001, "000002.png")])
def test_rows_without_names_are_numbered(tmp_path, make, n_rows, last):
    """Wide enough that the names sort as the rows do."""
    with open_sink(str(tmp_path / "out"), SHAPE, n_rows, force=False) as sink:
        sink.write(make.pictures(2), None)
        sink.write(make.pictures(1), None)

    assert tree(tmp_path / "out")[-1] == last


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.png", "a.png"),
        ("a.PNG", "a.PNG"),
        ("a/b.jpeg", "a/b.png"),
        ("a.b.TIF", "a.b.png"),
        ("digit.7", "digit.7.png"),
        ("plain", "plain.png"),
        ("é/日本.webp", "é/日本.png"),
        (".hidden", ".hidden.png"),
        ("12:30", "12:30.png"),
    ],
)
def test_what_a_row_is_called_as_a_file(tmp_path, make, name, file):
    """An image suffix becomes .png, anything else keeps its name and gets .png."""
    write(tmp_path / "out", make.pictures(1), [name])
    assert tree(tmp_path / "out") == [file]


UNSAFE = [
    "",
    "/etc/passwd",
    "../x.png",
    "a/../../x.png",
    "a/..",
    "..",
    ".",
    "./x.png",
    "a//b.png",
    "a/",
    "\\x.png",
    "a\\..\\..\\x.png",
    "C:x.png",
    "c:/x.png",
    "a\0.png",
    "a\n.png",
    "a\x1b[31m.png",
    "a\x85.png",
    "a\u2028.png",
    "con",
    "NUL.png",
    "a/aux.tar.png",
    "COM1.png",
    "lpt¹.png",
    "con .png",
    "CONIN$",
    "a./x.png",
    "a /x.png",
    "x.png.",
    "x" * 256,
    "x" * 252,  # with .png it is 256
    "/".join(["x" * 200] * 21),
    "\ud800.png",
]


@pytest.mark.parametrize("name", UNSAFE, ids=ascii)
def test_an_unsafe_name_is_refused(tmp_path, make, name):
    """Out of the folder, onto a device, into the terminal: refused in one plain line, and nothing is left."""
    with pytest.raises(ImageError) as caught:
        write(tmp_path / "out", make.pictures(3), ["ok.png", "also.png", name])

    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "a.png"],
        ["a.jpg", "a.jpg"],
        ["a.jpg", "a.png", "a.jpg.png"],
        ["a.png", "a.png/b.png"],
        ["a.png/b.png", "a.png"],
        ["a.png/x/b.png", "a.gif"],
    ],
    ids=ascii,
)
def test_two_rows_for_one_file_are_refused(tmp_path, make, names):
    """One name twice, a whole name that is another's, a file that is also a folder."""
    with pytest.raises(ImageError, match=r"taken|one file"):
        write(tmp_path / "out", make.pictures(len(names)), names)
    assert list(tmp_path.iterdir()) == []


WHOLE = {  # rows that would be one file without their suffixes -> files
    ("a.jpg", "a.png", "b.jpg"): ["a.jpg.png", "a.png", "b.png"],
    ("a.png", "a.jpg"): ["a.jpg.png", "a.png"],
    ("a.gif", "a.JPG", "x/a.tif"): ["a.JPG.png", "a.gif.png", "x/a.png"],
    ("a.jpg", "A.png"): ["A.png", "a.jpg.png"],
    ("a", "a.bmp"): ["a.bmp.png", "a.png"],
}


@pytest.mark.parametrize("names", WHOLE)
@pytest.mark.parametrize("exists", [True, False])
def test_names_are_kept_whole_where_they_differ_in_their_suffix(tmp_path, make, names, exists):
    """In whatever order the rows come, and only where that is needed."""
    if exists:
        (tmp_path / "out").mkdir()
    expected = make.pictures(len(names))
    write(tmp_path / "out", expected, list(names))

    assert tree(tmp_path / "out") == WHOLE[names]
    pixels = {tuple(np.asarray(Image.open(tmp_path / "out" / file)).ravel()) for file in WHOLE[names]}
    assert pixels == {tuple(image.ravel()) for image in expected}


ALIKE = [["a.png", "A.png"], ["straße.png", "STRASSE.png"], ["\u00e9.png", "e\u0301.png"], ["A/1.png", "a/1.png"]]


@pytest.mark.parametrize("names", ALIKE, ids=ascii)
def test_names_that_differ_in_case_only_are_two_files_where_the_file_system_says_so(tmp_path, make, monkeypatch, names):
    """And are refused, both named, where it takes one for the other."""
    try:
        write(tmp_path / "out", make.pictures(2), names)
    except ImageError:
        pytest.skip("this file system takes the two names for one")
    assert tree(tmp_path / "out") == sorted(names)

    exists = os.path.lexists

    def folds(path) -> bool:
        others = (other for other in tmp_path.rglob("*") if name_key(str(other)) == name_key(str(path)))
        return exists(path) or next(others, None) is not None

    monkeypatch.setattr(os.path, "lexists", folds)
    with pytest.raises(ImageError, match=r"are one file on this file system") as caught:
        write(tmp_path / "again", make.pictures(2), names)
    assert str(caught.value).isascii()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@POSIX
def test_the_permissions_of_a_file_that_is_replaced_are_kept(tmp_path, make):
    """As those of any output."""
    write(tmp_path / "out", make.pictures(1), ["a.png"])
    (tmp_path / "out" / "a.png").chmod(0o600)
    write(tmp_path / "out", make.pictures(2), ["a.png", "b.png"], force=True)
    assert stat.S_IMODE((tmp_path / "out" / "a.png").stat().st_mode) == 0o600


def test_a_file_that_is_read_is_not_replaced(tmp_path, make):
    """A container in the folder may be called as a row is."""
    write(tmp_path / "out", make.pictures(1), ["a.png"])
    (tmp_path / "out" / "b.png").write_bytes(b"the container")
    with (
        pytest.raises(UsageError, match="would be lost") as caught,
        open_sink(str(tmp_path / "out"), SHAPE, 2, force=True, inputs=[tmp_path / "out" / "b.png"]) as sink,
    ):
        sink.write(make.pictures(2), ["a.png", "b.png"])
    assert "force" not in str(caught.value)
    assert (tmp_path / "out" / "b.png").read_bytes() == b"the container"


def test_a_folder_that_is_not_empty_needs_force(tmp_path, make):
    """With force the new files are moved in, one of the same name is replaced, and the others stay."""
    out = tmp_path / "out"
    write(out, make.pictures(2), ["a.png", "b/c.png"])
    (out / "notes.txt").write_text("mine")
    before = (out / "a.png").read_bytes()
    with pytest.raises(UsageError, match=r"not empty$"):
        write(out, make.pictures(2), None)

    write(out, make.pictures(3), ["a.png", "b/d.png", "e.png"], force=True)

    assert tree(out) == ["a.png", "b/c.png", "b/d.png", "e.png", "notes.txt"]
    assert (out / "a.png").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@POSIX
@pytest.mark.parametrize("name", ["link/x.png", "file/x.png", "folder.png"])
def test_what_is_in_the_way_is_not_passed_through(tmp_path, make, name):
    """A link to a folder, a file where a folder is needed, a folder where a file is: refused before anything moves."""
    out, victim = tmp_path / "out", tmp_path / "victim"
    for folder in (out, victim, out / "folder.png"):
        folder.mkdir()
    (out / "link").symlink_to(victim)
    (out / "file").write_text("mine")
    with pytest.raises(UsageError, match="in the way"):
        write(out, make.pictures(2), ["first.png", name], force=True)

    assert list(victim.iterdir()) == []
    assert sorted(path.name for path in out.iterdir()) == ["file", "folder.png", "link"]


@POSIX
def test_a_link_with_a_rows_name_is_replaced(tmp_path, make):
    """What it points to stays as it was."""
    (tmp_path / "out").mkdir()
    (tmp_path / "victim.png").write_bytes(b"precious")
    (tmp_path / "out" / "x.png").symlink_to(tmp_path / "victim.png")
    write(tmp_path / "out", make.pictures(1), ["x.png"], force=True)

    assert (tmp_path / "victim.png").read_bytes() == b"precious"
    assert not (tmp_path / "out" / "x.png").is_symlink()


@POSIX
@pytest.mark.parametrize("moment", ["before commit", "between two moves"])
def test_a_link_that_appears_meanwhile_is_not_passed_through(tmp_path, make, monkeypatch, moment):
    """Every file's way is looked at when all are written, and again when it is moved."""
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir()
    out.mkdir()

    def plant(*_) -> None:
        if not (out / "b").is_symlink():
            (out / "b").symlink_to(victim)

    with pytest.raises(UsageError, match="in the way"), open_sink(str(out), SHAPE, 2, force=True) as sink:
        sink.write(make.pictures(2), ["a/x.png", "b/c/x.png"])
        if moment == "before commit":
            plant()
        else:
            monkeypatch.setattr(Path, "replace", plant)

    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("out", ["new", "empty", "full"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")], ids=repr)
@pytest.mark.parametrize("step", ["save_png", "_sync", None])
def test_an_interruption_leaves_nothing(tmp_path, make, monkeypatch, out, error, step):
    """Ctrl-C or a full disk, while writing or at commit: everything is as before."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    before = sorted(tmp_path.rglob("*"))

    def fail(*_):
        raise error

    with (
        pytest.raises((KeyboardInterrupt, OSError)),
        open_sink(str(tmp_path / out), SHAPE, 2, force=True) as sink,
    ):
        sink.write(make.pictures(1), ["a/b.png"])
        if step is None:
            raise error
        monkeypatch.setattr(folder_module, step, fail)
        sink.write(make.pictures(1), ["a/c.png"])

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("out", "shape", "says"),
    [
        ("file", (4, 3, 1), "no folder"),
        ("missing/out", (4, 3, 1), "does not exist"),
        ("out", (4, 3, 2), "1 or 3 channels"),
        ("file/out", (4, 3, 1), "does not exist"),
        pytest.param("dangling", (4, 3, 1), "no folder", marks=POSIX),
    ],
)
def test_an_impossible_folder_is_refused_at_once(tmp_path, monkeypatch, out, shape, says):
    """Before anything is made, also with force."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    if out == "dangling":
        Path(out).symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=says):
        open_sink(out, shape, 1, force=True)

    assert sorted(tmp_path.rglob("*")) == before


def test_a_caller_cannot_mix_things_up(tmp_path, make):
    """Wrong shape, wrong number of names: a mistake of ours, not of the data."""
    for images, names in ((make.pictures(1, 5), None), (make.pictures(2), ["a.png"])):
        with pytest.raises(ValueError) as caught, open_sink(str(tmp_path / "out"), SHAPE, 1, force=False) as sink:
            sink.write(images, names)
        assert not isinstance(caught.value, AeformatError)


def test_many_files_are_synced_at_once(tmp_path, make):
    """A thousand images do not wait for a thousand syncs."""
    write(tmp_path / "out", make.pictures(150), None)
    assert len(tree(tmp_path / "out")) == 150


def test_commit_inside_the_with_block_is_enough(tmp_path, make):
    """And an abort afterwards does nothing."""
    with open_sink(str(tmp_path / "out"), SHAPE, 1, force=False) as sink:
        sink.write(make.pictures(1), None)
        sink.commit()
    sink.abort()
    assert tree(tmp_path / "out") == ["00000.png"]
