"""The fuzz targets hold for a short pass, for what past passes kept, and for every bug they ever found (tools/fuzz)."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from aeformat.errors import ChecksumMismatch, FormatError
from aeformat.reader import stream_latents
from tools.fuzz import run, seeds, targets
from tools.fuzz.mutator import Mutator
from tools.fuzz.parts import put_together, take_apart

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "fuzz" / "run.py"


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_target_holds_for_all_that_is_kept(name):
    """Seeds, kept corpus and regressions: nothing undocumented escapes, and all ways to read agree."""
    target = targets.TARGETS[name]
    for data in seeds.start(name, takes_maps=target.takes_maps):
        target(data)


def test_a_short_pass_finds_nothing(tmp_path):
    """The command of CI, with the engine that needs no atheris and a fixed seed."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--smoke",
        "--engine",
        "random",
        "--runs",
        "500",
        "--crashes",
        str(tmp_path),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "engine random" in ran.stdout
    assert "all targets hold" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_documented_breaks_a_target(monkeypatch, tmp_path, capsys):
    """A pass over a target with a bug ends with exit code 1 and the input in a file."""

    def buggy(data: bytes) -> str:
        if b"nAMe" in data:
            raise KeyError("a bug")
        return "good"

    monkeypatch.setattr(targets, "TARGETS", {"reader": targets.Target("reader", buggy, (FormatError,))})

    assert run.main(["reader", "--engine", "random", "--runs", "400", "--crashes", str(tmp_path)]) == 1
    assert "broken after" in capsys.readouterr().out
    (crash,) = tmp_path.iterdir()
    assert b"nAMe" in crash.read_bytes()


@pytest.mark.parametrize("data", seeds.files())
def test_a_good_file_comes_apart_and_together(data):
    """Every valid vector, put together again with all checksums computed, is the same bytes."""
    parts = take_apart(data)

    assert parts is not None
    assert put_together(parts) == data


def test_changed_files_get_past_the_checksums():
    """Most of what the mutator makes is refused for what it says, not for a checksum; some of it is good."""
    mutator, outcomes = Mutator(seeds.files()), []
    data = (seeds.VECTORS / "container" / "valid" / "080-three-chunks.aef").read_bytes()
    for seed in range(400):
        outcomes.append(_outcome(mutator.container(data, seed)))

    assert outcomes.count("checksum") < len(outcomes) // 5
    assert outcomes.count("good") > len(outcomes) // 20
    assert len(set(outcomes)) > 5


def _outcome(data: bytes) -> str:
    try:
        for _ in stream_latents(io.BytesIO(data)):
            pass
    except ChecksumMismatch:
        return "checksum"
    except FormatError as error:
        return error.code
    return "good"
