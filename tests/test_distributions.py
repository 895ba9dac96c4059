"""The two distributions, aeformat and aeformat-models: what is in them, how heavy they are, and how the first finds the second."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.model.identity import read_model_id
from aeformat.pipeline.default_model import DEFAULT_MODEL, PHOTO_MODEL
from tools import model_index

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"aeformat": ROOT, "aeformat_models": ROOT / "models"}
HERE = {path.name.removesuffix(".encoder.aef") for path in (ROOT / "models").glob("*.encoder.aef")}
OWN = {DEFAULT_MODEL, PHOTO_MODEL, "mnist-128-64-128"} & HERE  # the default ones, and the other one of the demo
MOST_BYTES = 4_000_000
SOURCES_OF_PHOTOS = "PHOTO_SOURCES.tsv"


def build(builder: str, source: Path, folder: Path) -> Path:
    """What hatchling makes of a source tree; offline."""
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    builders = {"sdist": SdistBuilder, "wheel": WheelBuilder}
    (path,) = builders[builder](str(source)).build(directory=str(folder), versions=["standard"])
    return Path(path)


@pytest.fixture(scope="module")
def wheels(hatchling, tmp_path_factory) -> dict[str, Path]:
    """Name -> wheel."""
    folder = tmp_path_factory.mktemp("wheels")
    return {name: build("wheel", source, folder) for name, source in SOURCES.items()}


@pytest.fixture(scope="module")
def unpacked(wheels, tmp_path_factory) -> dict[str, Path]:
    """Name -> folder with what the wheel installs."""
    folders = {}
    for name, wheel in wheels.items():
        folders[name] = tmp_path_factory.mktemp(name)
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folders[name])
    return folders


@pytest.fixture
def installed(unpacked, tmp_path):
    """A function that runs the command line as these distributions have it: (exit code, stdout, stderr)."""

    def run(names: list[str], *arguments: object) -> tuple[int, str, str]:
        paths = os.pathsep.join(str(unpacked[name]) for name in names)
        done = subprocess.run(
            [sys.executable, "-m", "aeformat", *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": paths, "AEFORMAT_CACHE": str(tmp_path / "cache")}, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    np.save(tmp_path / "images.npy", np.zeros((1, 28, 28), np.uint8))
    return run


BOTH = ["aeformat", "aeformat_models"]


def packages(wheel: Path) -> dict[str, bytes]:
    """File name -> the bytes of a model package."""
    with zipfile.ZipFile(wheel) as packed:
        return {Path(name).name: packed.read(name) for name in packed.namelist() if name.endswith(".aef")}


def test_what_everybody_installs_is_light(wheels):
    assert wheels["aeformat"].stat().st_size <= MOST_BYTES
    assert set(packages(wheels["aeformat"])) == {
        f"{name}.{role}.aef" for name in OWN for role in ("encoder", "decoder")
    }


def test_each_package_is_in_one_of_the_two_as_it_is_in_the_checkout(wheels):
    own, others = (packages(wheel) for wheel in wheels.values())

    assert not own.keys() & others.keys()
    assert own | others == {path.name: path.read_bytes() for path in (ROOT / "models").glob("*.aef")}


def test_whom_the_training_photographs_are_of_goes_with_the_models(wheels):
    """Authors and licences of each, in both wheels: Creative Commons' licences ask for it."""
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as packed:
            (name,) = (name for name in packed.namelist() if name.endswith(SOURCES_OF_PHOTOS))
            assert packed.read(name) == (ROOT / "models" / SOURCES_OF_PHOTOS).read_bytes()


def test_what_is_named_for_the_wheel_is_what_the_program_takes_where_nobody_names_a_model():
    """The photographs' pair, too, as soon as it lies in models/."""
    named = re.findall(
        r'"models/([^"]+)\.(?:encoder|decoder)\.aef"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert sorted(named) == sorted([DEFAULT_MODEL, PHOTO_MODEL, "mnist-128-64-128"] * 2)


def test_both_have_the_version_of_the_package_and_its_licence(unpacked):
    for name, folder in unpacked.items():
        (info,) = folder.glob("*.dist-info")
        assert (
            HeaderParser().parsestr((info / "METADATA").read_text(encoding="utf-8"))["Version"] == aeformat.__version__
        )
        assert (info / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes(), name


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_distribution_builds_the_same_wheel(wheels, tmp_path, name):
    with tarfile.open(build("sdist", SOURCES[name], tmp_path)) as packed:
        packed.extractall(tmp_path)
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())

    made = build("wheel", source, tmp_path / "again")

    with zipfile.ZipFile(made) as again, zipfile.ZipFile(wheels[name]) as wheel:
        assert {at.filename: at.CRC for at in again.infolist()} == {at.filename: at.CRC for at in wheel.infolist()}


def test_the_first_has_the_default_pair_and_names_the_other_distribution(installed):
    """One line, exit code 2."""
    assert installed(["aeformat"], "pack", "images.npy", "-o", "exact.aef", "--backend", "numpy")[0] == 0

    code, out, says = installed(["aeformat"], "pack", "images.npy", "-o", "rd.aef", "--model", "mnist-rd-24")

    assert (code, out) == (2, "")
    assert says.endswith("model mnist-rd-24 is not here: it comes with aeformat-models; pip install aeformat-models\n")
    assert says.count("\n") == 1


def test_a_missing_decoder_of_the_second_is_known_by_its_id(installed, tmp_path):
    """One line, exit code 4."""
    decoder = read_model_id(ROOT / "models" / "mnist-128-22-128.decoder.aef")
    header = LatentsHeader(decoder=decoder, dims=(22,), image=(28, 28, 1), encoding="f32le")
    with (tmp_path / "note.aef").open("wb") as file, LatentsWriter(file, header) as writer:
        writer.write(np.zeros((1, 22), np.float32))

    code, _, says = installed(["aeformat"], "unpack", "note.aef", "-o", "made.npy")

    assert code == 4
    assert f"decoder {decoder.hex()} is not here: it is that of model mnist-128-22-128" in says
    assert says.endswith("; pip install aeformat-models\n")
    assert says.count("\n") == 1
    assert installed(BOTH, "unpack", "note.aef", "-o", "made.npy", "--backend", "numpy")[0] == 0


def test_the_second_is_found_where_it_is_installed(installed):
    assert installed(BOTH, "pack", "images.npy", "-o", "rd.aef", "--model", "mnist-rd-24", "--backend", "numpy")[0] == 0

    alone, both = (
        {line.split()[0] for line in installed(names, "model", "list")[1].splitlines()[2:]}
        for names in (["aeformat"], BOTH)
    )

    assert alone == OWN
    assert both == {path.name.split(".")[0] for path in (ROOT / "models").glob("*.aef")}


def test_the_index_of_the_second_is_what_its_packages_say():
    assert model_index.OUT.read_text(encoding="utf-8") == model_index.text()
    assert model_index.index().keys() == HERE - OWN


def test_the_pythons_that_are_promised_are_those_that_ci_runs():
    about = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', about)
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")

    assert promised[0] == re.search(r'requires-python = ">=(.+)"', about)[1]
    for matrix in re.findall(r"python: \[(.+)\]", workflow):
        assert re.findall(r'"(.+?)"', matrix) == promised


def names_in(path: Path) -> set[str]:
    """The files of a wheel or an sdist, as they are in the source tree."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return set(wheel.namelist())
    with tarfile.open(path) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


def test_the_page_of_view_goes_along_where_it_is_built(hatchling, tmp_path):
    """Although git ignores it; with and without it all else is the same."""
    source = tmp_path / "checkout"
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        "aeformat/__init__.py",
        "aeformat/data/rules.json",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    for name in re.findall(r'"(models/[^"]+)"', (ROOT / "pyproject.toml").read_text("utf-8")):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"")

    found = []
    for folder in (tmp_path / "without", tmp_path / "with"):
        for builder in ("wheel", "sdist"):
            path = build(builder, source, folder)
            found.append(names_in(path))
        (source / "aeformat/data/view.html").write_text("the page")

    page = {"aeformat/data/view.html"}
    assert [found[2] - found[0], found[3] - found[1]] == [page, page]
