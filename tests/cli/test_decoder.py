"""--decoder and --registry: what is given is right, or said to be wrong, whatever the file would do without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aeformat.model import places
from aeformat.model.file_io import read_package

Run = Callable[..., Any]

FILES = {
    "coded": [],
    "coded, embedded": ["--embed-decoder", "--receipts"],
    "zstd": ["--codec", "zstd"],
    "zstd, embedded": ["--codec", "zstd", "--embed-decoder"],
}
COMMANDS = {
    "unpack": ["unpack", "x.aef", "-o", "o.npy"],
    "unpack --latents": ["unpack", "x.aef", "-o", "o.npy", "--latents"],
    "unpack --rows": ["unpack", "x.aef", "-o", "o.npy", "--rows", "3:9"],
    "convert": ["convert", "x.aef", "o.aef", "--codec", "none"],
    "convert to rans": ["convert", "x.aef", "o.aef", "--codec", "rans"],
    "eval": ["eval", "x.aef", "--against", "digits.npy"],
    "send": ["send", "x.aef", "http://127.0.0.1:1/"],
}
GIVEN = {
    "missing": ("nowhere.aef", 2, "nowhere.aef: no such file"),
    "no package": ("digits.npy", 1, "digits.npy: "),
    "cut": ("cut.aef", 3, "cut.aef: "),
    "another": ("other.aef", 4, "other.aef holds model"),
}


@pytest.fixture
def place(aeformat: Run, model: Path, folder: Path) -> Path:
    """The right decoder is m.decoder.aef, and among this machine's models, too."""
    aeformat("model", "install", "m.decoder.aef")
    other = places.shipped_folder() / "mnist-exact.decoder.aef"
    Path("other.aef").write_bytes(other.read_bytes())
    Path("cut.aef").write_bytes(Path("m.decoder.aef").read_bytes()[:-70])
    return folder


def pack(aeformat: Run, file: str) -> None:
    assert aeformat("pack", "digits.npy", "-o", "x.aef", "--model", "m", *FILES[file]).code == 0


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_decoder_is_an_error_everywhere(aeformat: Run, place: Path, file: str, command: str):
    """Although this machine, or the file itself, has the right one; nothing is written."""
    pack(aeformat, file)

    for given, code, words in GIVEN.values():
        ran = aeformat(*COMMANDS[command], "--decoder", given)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert words in ran.err and ran.err.count("\n") == 1
    assert not Path("o.npy").exists() and not Path("o.aef").exists()


@pytest.mark.parametrize("file", FILES)
def test_validate_takes_no_wrong_decoder_either(aeformat: Run, place: Path, file: str):
    """Where the file needs none, even the right one is said to do nothing."""
    pack(aeformat, file)

    for given, code, words in GIVEN.values():
        ran = aeformat("validate", "x.aef", "--decoder", given)
        is_idle = code == 4 and file != "coded"
        assert ran.code == (2 if is_idle else code) and ("does nothing" if is_idle else words) in ran.err
    assert aeformat("validate", "x.aef", "--decoder", "m.decoder.aef").code == (0 if file == "coded" else 2)


@pytest.mark.parametrize("option", [["--decoder", "m.decoder.aef"], ["--registry", "http://127.0.0.1:1/"]])
@pytest.mark.parametrize("command", ["unpack --latents", "convert"])
def test_a_decoder_that_is_not_needed_is_refused(aeformat: Run, place: Path, command: str, option: list[str]):
    """Rows that are not coded with it are read without it."""
    pack(aeformat, "zstd")

    ran = aeformat(*COMMANDS[command], *option)

    assert ran.code == 2 and f"{option[0]} does nothing" in ran.err


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "send"])
def test_whoever_needs_a_decoder_can_ask_a_server(
    aeformat: Run, model: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    """The advice of the error can be followed."""
    pytest.importorskip("h11")
    pack(aeformat, "coded")
    ran = aeformat(*COMMANDS[command])
    assert ran.code == 4 and "--registry URL" in ran.err
    asked = []

    def ask(url: str, model_id: bytes, *_: object, **more: Any):
        asked.append((url, model_id, more["need"].n_rows))
        return read_package("m.decoder.aef")

    monkeypatch.setattr("aeformat.net.client.remote_decoder.registry_decoder", ask)
    assert aeformat(*COMMANDS[command], "--registry", "http://127.0.0.1:1/").code == 0
    assert asked == [("http://127.0.0.1:1/", read_package("m.decoder.aef").model_id, 100)]


def test_validate_says_on_stdout_what_it_did_not_check(aeformat: Run, model: Path):
    """Rows, receipts and the content id of codec rans, for people and in JSON; with the decoder all are."""
    assert aeformat("pack", "digits.npy", "-o", "x.aef", "--model", "m", "--receipts").code == 0

    ran = aeformat("validate", "x.aef")
    assert ran.code == 0 and "good as far as it was checked" in ran.out and ran.out.count("(not checked)") == 1
    assert "2 receipts not proved" in ran.out
    (report,) = json.loads(aeformat("validate", "x.aef", "--json").out)["files"]
    assert (report["receipts"], report["proved"]) == (2, 0)
    assert "100 rows, 2 receipts and the content id" in report["not_checked"]

    ran = aeformat("validate", "x.aef", "--decoder", "m.decoder.aef")
    assert "x.aef: good: " in ran.out and "not checked" not in ran.out + ran.err
