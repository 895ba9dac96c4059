"""Promise: an error about a file names it, however it was opened from Python; a hint says what to pass."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

import aeformat
from aeformat.images import demo_digits


@pytest.fixture
def path(tmp_path):
    """Some digits, packed."""
    aeformat.pack(demo_digits()[:5], tmp_path / "digits.aef")
    return tmp_path / "digits.aef"


@pytest.fixture
def broken(path):
    """The same with one bit of the rows flipped."""
    data = bytearray(path.read_bytes())
    data[data.index(b"ROWS") + 40] ^= 1
    (path.parent / "broken.aef").write_bytes(data)
    return path.parent / "broken.aef"


@pytest.fixture
def cut(path):
    """The same without its end."""
    (path.parent / "cut.aef").write_bytes(path.read_bytes()[:-9])
    return path.parent / "cut.aef"


READS = {
    "open": lambda path: aeformat.open(path)[0],
    "names": lambda path: aeformat.open(path).names(0),
    "stream": lambda path: list(aeformat.stream(path)),
    "decode": aeformat.decode,
    "decode rows": lambda path: aeformat.decode(path, rows=[1, 3]),
    "decode a stream": lambda path: aeformat.decode(aeformat.stream(path)),
    "unpack": lambda path: aeformat.unpack(path, path.parent / "out.npy"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("which", ["broken", "cut"])
def test_a_broken_file_is_named(request, which, read):
    """Once, in front."""
    path = request.getfixturevalue(which)
    with pytest.raises(aeformat.FormatError) as caught:
        read(path)

    assert caught.value.source == str(path)
    assert str(caught.value) == f"{path}: {caught.value.sentence}"
    assert str(path) not in caught.value.sentence
    assert not (path.parent / "out.npy").exists()


def test_what_decodes_a_file_names_it_too(tmp_path, path):
    """A decoder that is another or is not here; and a stream that has no name has none in its errors."""
    with pytest.raises(aeformat.DecoderMismatch, match=re.escape(str(path))):
        aeformat.decode(path, aeformat.load_model("mnist-128-64-128"))
    with aeformat.create(tmp_path / "far.aef", decoder=bytes(32), dims=2, image=(1, 1, 1), encoding="u8") as file:
        file.append(np.zeros((1, 2), np.uint8))
    with pytest.raises(aeformat.DecoderMissing, match=re.escape(str(tmp_path / "far.aef"))) as caught:
        aeformat.decode(tmp_path / "far.aef")
    assert caught.value.hint.text.startswith("get the .aef of that decoder and pass it")
    with pytest.raises(aeformat.FormatError) as unnamed:
        aeformat.stream(io.BytesIO(b"no container at all"))
    assert (unnamed.value.source, str(unnamed.value)) == (None, unnamed.value.sentence)


def test_a_stream_that_is_recovered_names_its_damage(broken):
    """As one that is not."""
    with aeformat.stream(broken, recover=True) as stream:
        list(stream)

    assert str(stream.damage).startswith(f"{broken}: ")


@pytest.mark.parametrize("hint", aeformat.Hint, ids=str)
def test_every_hint_says_what_to_do_in_python(hint):
    """No option of a command; of a function, as it is written."""
    assert hint.text
    assert not re.search(r"--[a-z]|aeformat (pack|unpack|info)", hint.text)


def test_the_hint_of_a_file_that_exists_is_to_force(path):
    """As `create`, `pack` and `unpack` take it."""
    with pytest.raises(aeformat.UsageError) as caught:
        aeformat.create(path, decoder="mnist-exact")

    assert caught.value.hint.text == "pass force=True to replace it"
