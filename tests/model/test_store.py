"""Finding and keeping models: by name, by path, by model id; what is found is what was asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.golden_check import check
from aeformat.errors import DecoderMismatch, DecoderMissing, FormatError, GoldenMismatch, Hint, Truncated, UsageError
from aeformat.model import places, store
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import package_bytes, write_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from model import bases


def make_pair(name: str, offset: int = 0) -> tuple[ModelPackage, ModelPackage]:
    """Encoder and decoder of a tiny exact model; another `offset`, another model id."""
    table = np.arange(256, dtype=np.uint8)
    halves: list[ModelPackage] = []
    image, code = Endpoint((1, 2, 2), "u8"), Endpoint((3,), "u8")
    for role, n, m in (("decoder", 3, 4), ("encoder", 4, 3)):
        start, end = (code, image) if role == "decoder" else (image, code)
        builder = PackageBuilder(
            role=role, profile="exact", input=start, output=end, decoder=halves[0].model_id if halves else None
        )
        builder.layer("flatten")
        bias = builder.tensor(np.full(m, offset, np.int32))
        builder.layer("dense", weights=builder.tensor(np.ones((n, m), np.int8)), bias=bias)
        builder.layer(
            "lookup", multiplier=builder.tensor(np.array([1], np.int32)), shift=2, table=builder.tensor(table)
        )
        builder.layer("reshape", shape=end.shape)
        rows = np.zeros((1, *start.shape), np.uint8)
        made = np.full((1, *end.shape), min(255, (offset + 2) // 4 + 128), np.uint8)
        halves.append(builder.build(golden_input=rows, golden_output=made, name=name))
    return halves[1], halves[0]


def put(folder: Path, name: str, pair: tuple[ModelPackage, ModelPackage]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for package in pair:
        write_package(package, folder / f"{name}.{package.role}.aef")


def same(found: tuple[ModelPackage, ModelPackage], pair: tuple[ModelPackage, ModelPackage]) -> bool:
    return [p.model_id for p in found] == [p.model_id for p in pair]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder of shipped models with "one" and "two" in it."""
    monkeypatch.setenv("AEFORMAT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "shipped"
    monkeypatch.setattr(places, "shipped_folder", lambda: folder)
    put(folder, "one", ONE)
    put(folder, "two", TWO)
    return folder


ONE, TWO, THREE = make_pair("one", 4), make_pair("two", 8), make_pair("three", 12)


def test_the_golden_sets_of_these_models_hold() -> None:
    for package in (*ONE, *TWO, *THREE):
        check(package)


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_shipped_model_is_found_by_name(shipped: Path, name: str) -> None:
    assert same(store.find_pair(name), {"one": ONE, "two": TWO}[name])
    assert store.shipped_names() == ["one", "two"]


PATHS = ["models/three.encoder.aef", "models/three.decoder.aef", "models/three", "models"]


@pytest.mark.parametrize("path", PATHS)
def test_a_model_is_found_by_path(shipped: Path, tmp_path: Path, path: str) -> None:
    """By either file, by what their names begin with, and by the folder they are in."""
    put(tmp_path / "models", "three", THREE)

    assert same(store.find_pair(str(tmp_path / path)), THREE)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("digits", [8, 12, 64])
def test_a_model_is_found_by_the_id_of_either_half(shipped: Path, half: int, digits: int) -> None:
    assert same(store.find_pair(TWO[half].model_id.hex()[:digits]), TWO)


def test_a_model_in_the_cache_is_found_by_its_id(shipped: Path) -> None:
    for package in THREE:
        store.install(package_bytes(package), check)

    assert same(store.find_pair(THREE[0].model_id.hex()[:9]), THREE)
    assert store.find_decoder(THREE[1].model_id).model_id == THREE[1].model_id


UNKNOWN = ["three", "", "../one", "a1", "deadbeef", "x" * 64, "/nowhere/three.encoder.aef"]


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_model_is_a_mistake_of_the_caller(shipped: Path, name: str) -> None:
    with pytest.raises(UsageError):
        store.find_pair(name)


def test_half_a_model_is_no_model(shipped: Path, tmp_path: Path) -> None:
    put(tmp_path / "models", "three", THREE[:1])
    with pytest.raises(UsageError, match="two files"):
        store.find_pair(str(tmp_path / "models" / "three"))


def test_a_folder_of_two_models_is_not_guessed_at(shipped: Path) -> None:
    with pytest.raises(UsageError, match="2 files"):
        store.find_pair(str(shipped))


def test_halves_of_two_models_do_not_make_one(shipped: Path) -> None:
    shutil.copy(shipped / "two.decoder.aef", shipped / "one.decoder.aef")
    with pytest.raises(DecoderMismatch):
        store.find_pair("one")


def test_find_packages_gives_one_file_or_both_halves(shipped: Path) -> None:
    assert [p.role for p in store.find_packages("one")] == ["encoder", "decoder"]
    assert [p.role for p in store.find_packages(str(shipped / "one.decoder.aef"))] == ["decoder"]


def test_a_shipped_decoder_is_found_by_its_id(shipped: Path) -> None:
    assert store.find_decoder(TWO[1].model_id).model_id == TWO[1].model_id


def test_finding_a_decoder_reads_no_other_package_whole(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only headers are looked at on the way: a package broken behind its header is passed by."""
    read = []
    whole = store.read_package
    monkeypatch.setattr(store, "read_package", lambda source: read.append(source) or whole(source))
    store.find_decoder(TWO[1].model_id)

    assert read == [shipped / "two.decoder.aef"]


def test_a_missing_decoder_says_what_to_do(shipped: Path) -> None:
    with pytest.raises(DecoderMissing, match=r"is not here$") as caught:
        store.find_decoder(THREE[1].model_id)

    assert caught.value.hint is Hint.GET_DECODER
    assert THREE[1].model_id.hex() in str(caught.value)


def test_a_decoder_that_is_given_is_the_one_or_an_error(shipped: Path, tmp_path: Path) -> None:
    """Although the right one is among the shipped ones; what is not there, or broken, is no better."""
    given, broken = tmp_path / "three.aef", tmp_path / "broken.aef"
    given.write_bytes(package_bytes(THREE[1]))
    broken.write_bytes(package_bytes(ONE[1])[:-1])

    assert store.find_decoder(THREE[1].model_id, given=given).model_id == THREE[1].model_id
    assert store.find_decoder(ONE[1].model_id).model_id == ONE[1].model_id
    with pytest.raises(DecoderMismatch, match=f"{THREE[1].model_id.hex()[:12]}.*{ONE[1].model_id.hex()}"):
        store.find_decoder(ONE[1].model_id, given=given)
    with pytest.raises(Truncated):
        store.find_decoder(ONE[1].model_id, given=broken)
    with pytest.raises(UsageError):
        store.find_decoder(ONE[1].model_id, given=tmp_path / "nowhere.aef")


def test_an_encoder_is_no_decoder(shipped: Path) -> None:
    with pytest.raises(DecoderMismatch, match="encoder"):
        store.find_decoder(ONE[0].model_id)


def test_installing_again_is_fine(shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "d.aef"
    write_package(THREE[1], path)

    assert store.install(path, check) == store.install(package_bytes(THREE[1], codec="none"), check)
    assert [p.name for p in places.cache_folder().iterdir()] == [f"{THREE[1].model_id.hex()}.aef"]


def test_a_package_that_fails_its_golden_set_is_not_installed(shipped: Path) -> None:
    base = bases.exact()
    base.arrays[5][:] = 255
    base.list_tensors()
    with pytest.raises(GoldenMismatch):
        store.install(package_bytes(base.load()), check)

    assert not places.cache_folder().exists()


def test_a_broken_package_is_not_installed(shipped: Path) -> None:
    with pytest.raises(FormatError):
        store.install(package_bytes(THREE[1])[:-9], check)

    assert not places.cache_folder().exists()


def cut(data: bytes) -> bytes:
    return data[:-5]


def another(data: bytes) -> bytes:
    return package_bytes(ONE[1])


@pytest.mark.parametrize("damage", [cut, another])
def test_a_damaged_cache_entry_is_removed_and_reported(shipped: Path, caplog: pytest.LogCaptureFixture, damage) -> None:
    """Whether it is broken, or a good package under another's model id."""
    model_id = store.install(package_bytes(THREE[1]), check)
    path = places.cached_path(model_id)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DecoderMissing):
        store.find_decoder(model_id)

    assert not path.exists()
    assert model_id.hex() in caplog.text
    assert store.install(package_bytes(THREE[1]), check) == model_id
    assert store.find_decoder(model_id).model_id == model_id


def test_a_damaged_shipped_model_does_not_hide_the_others(shipped: Path, caplog: pytest.LogCaptureFixture) -> None:
    (shipped / "one.decoder.aef").write_bytes(b"\x89AEF\r\n\x1a\nnonsense, but long enough to be read")

    assert store.find_decoder(TWO[1].model_id).model_id == TWO[1].model_id
    assert len(store.list_models()) == 3
    assert "one.decoder.aef" in caplog.text


def test_the_list_has_names_places_and_ids(shipped: Path) -> None:
    store.install(package_bytes(THREE[1]), check)

    listed = [(m.place, m.name, m.manifest.role, m.model_id) for m in store.list_models()]

    assert listed == [
        ("shipped", "one", "decoder", ONE[1].model_id),
        ("shipped", "one", "encoder", ONE[0].model_id),
        ("shipped", "two", "decoder", TWO[1].model_id),
        ("shipped", "two", "encoder", TWO[0].model_id),
        ("cache", "three", "decoder", THREE[1].model_id),
    ]


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"AEFORMAT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/models"),
        ("linux", {"XDG_CACHE_HOME": "/b"}, "/b/aeformat/models"),
        ("linux", {"HOME": "/h"}, "/h/.cache/aeformat/models"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/aeformat/models"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/aeformat/models"),
    ],
)
def test_the_cache_lies_where_the_system_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, system: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("AEFORMAT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(places.sys, "platform", system)

    assert places.cache_folder() == Path(expected)


def test_the_models_of_this_checkout_are_found() -> None:
    """Where there are any: models/ at the top, or shipped_models/ in an installed wheel."""
    folder = places.shipped_folder()
    for name in store.shipped_names():
        encoder, decoder = store.find_pair(name)

        assert folder is not None
        assert encoder.manifest.decoder == decoder.model_id
        check(encoder)
        check(decoder)


def test_a_shipped_name_means_the_shipped_model_whatever_lies_here(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a pair or a folder of that name in the current folder is named by a path: with a separator, or with .aef."""
    put(tmp_path / "here", "one", THREE)
    put(tmp_path / "here" / "two", "x", THREE)
    monkeypatch.chdir(tmp_path / "here")

    assert same(store.find_pair("one"), ONE)
    assert same(store.find_pair("two"), TWO)
    assert same(store.find_pair("./one"), THREE)
    assert same(store.find_pair("one.decoder.aef"), THREE)
    assert same(store.find_pair("two/"), THREE)
    (tmp_path / "here" / "two.decoder.aef").write_bytes(package_bytes(THREE[1]))
    (tmp_path / "here" / "one").write_bytes(package_bytes(THREE[0]))
    assert same(tuple(store.find_packages("one")), ONE)
    assert [p.model_id for p in store.find_packages("./one")] == [THREE[0].model_id]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "no model is named"),
        ("x" * 5000, "no model 'xxxx"),
        ("a\0b", "no model 'a"),
        ("y" * 300 + "/z", "no model"),
    ],
    ids=["empty", "too long for a path", "NUL", "a folder's name too long"],
)
@pytest.mark.parametrize("find", [store.find_pair, store.find_packages])
def test_a_name_that_can_be_no_path_is_a_usage_error(shipped: Path, find, name: str, words: str) -> None:
    """And a short one."""
    with pytest.raises(UsageError, match=words) as caught:
        find(name)

    assert len(str(caught.value)) < 300
