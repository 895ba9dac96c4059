"""Packages in files: what is written is read back, and the model id depends on the network alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, Truncated, UsageError
from aeformat.model.file_io import package_bytes, read_heading, read_package, write_package
from aeformat.model.identity import read_model_id
from aeformat.model.package import ModelPackage
from model import bases
from model.networks import note_halves, random_float


@pytest.fixture(scope="module")
def decoder() -> ModelPackage:
    return note_halves("exact")[1]


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("make", [bases.exact, bases.float32, bases.convolution, bases.encoder])
def test_a_package_comes_back_as_it_was(codec: str, make) -> None:
    package = make().load()

    back = read_package(package_bytes(package, codec=codec, level=1))

    assert back.manifest == package.manifest
    assert back.model_id == package.model_id
    for ours, theirs in zip(package.tensors, back.tensors, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_codec_and_level_do_not_change_the_model_id(decoder: ModelPackage) -> None:
    forms = {package_bytes(decoder, codec=c, level=v) for c, v in (("none", 1), ("zstd", 1), ("zstd", 19))}

    assert len(forms) == 3
    assert {read_package(data).model_id for data in forms} == {decoder.model_id}
    assert {read_model_id(data) for data in forms} == {decoder.model_id}


def test_a_file_is_written_whole_and_never_over_another(decoder: ModelPackage, tmp_path: Path) -> None:
    path = tmp_path / "d.aef"
    write_package(decoder, path)
    with pytest.raises(UsageError, match="exists"):
        write_package(decoder, path)
    write_package(decoder, path, force=True)

    assert read_package(path).model_id == decoder.model_id
    assert [p.name for p in tmp_path.iterdir()] == ["d.aef"]


def test_a_name_travels_in_the_header() -> None:
    package = random_float(1)
    for name in ("mnist-exact", None):
        named = ModelPackage(*(getattr(package, field) for field in package.__slots__[:-1]), name=name)

        assert read_package(package_bytes(named)).name == name
        assert read_heading(package_bytes(named)).name == name


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a\x1b[2Jb", "x" * 65, "ä"])
def test_a_name_that_could_mislead_a_terminal_is_refused(name: str) -> None:
    package = random_float(1)
    named = ModelPackage(*(getattr(package, field) for field in package.__slots__[:-1]), name=name)

    with pytest.raises(UsageError, match="name"):
        package_bytes(named)


def test_a_heading_is_had_without_the_tensors(decoder: ModelPackage) -> None:
    heading = read_heading(package_bytes(decoder))

    assert (heading.model_id, heading.manifest) == (decoder.model_id, decoder.manifest)


def test_latents_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "l.aef"
    header = LatentsHeader(decoder=bytes(32), dims=(2,), image=(1, 1, 1), encoding="u8")
    with path.open("wb") as file, LatentsWriter(file, header) as out:
        out.write(np.zeros((1, 2), np.uint8))

    for read in (read_package, read_heading, read_model_id):
        with pytest.raises(UsageError, match="latents"):
            read(path)


def test_a_missing_file_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_package(tmp_path / "none.aef")


def test_a_package_cut_anywhere_is_refused() -> None:
    """At every byte, and as truncated: nothing of it is used."""
    data = package_bytes(bases.encoder().load())
    for end in range(len(data)):
        with pytest.raises(Truncated):
            read_package(data[:end])


def test_a_package_with_any_bit_flipped_is_refused() -> None:
    data = bytearray(package_bytes(bases.encoder().load(), codec="none"))
    for at in range(len(data)):
        data[at] ^= 1 << at % 8
        with pytest.raises(FormatError):
            read_package(bytes(data))
        data[at] ^= 1 << at % 8


def test_reading_100_kilobytes_takes_less_than_50_milliseconds(decoder: ModelPackage) -> None:
    data = package_bytes(decoder)
    best = min(_seconds(lambda: read_package(data)) for _ in range(5))

    assert len(data) > 50_000
    assert best < 0.05


def test_reading_a_package_loads_no_tensorflow_and_no_backend() -> None:
    code = (
        "import sys, aeformat.model.store, aeformat.model.builder\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras') or m.startswith('aeformat.backends')]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def _seconds(function) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start
