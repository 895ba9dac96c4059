"""Programs made of tools/c/aef.h, and what tools/c/conformance.c says of files.  A test skips where a compiler is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
C = ROOT / "tools" / "c"
VECTORS = ROOT / "spec" / "vectors"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def missing(what: str) -> None:
    """Skip; with AEFORMAT_REQUIRE_ALL=1 fail."""
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def program(name: str) -> str:
    """The path of a program of the machine; skips without it."""
    path = shutil.which(name)
    if path is None:
        missing(name)
    return str(path)


def compile_c(source: Path, to: Path, *options: str, compiler: str = "gcc") -> Path:
    """Compile a source with all warnings as errors."""
    standard = "-std=c++11" if source.suffix == ".cpp" else "-std=c99"
    command = [program(compiler), standard, *WARNINGS, f"-I{C}", "-o", str(to), str(source), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return to


def with_zstd() -> tuple[str, ...]:
    """The options for libzstd; skips without its header."""
    found = subprocess.run([program("gcc"), "-E", "-include", "zstd.h", "-x", "c", os.devnull], capture_output=True)
    if found.returncode:
        missing("zstd.h (Debian: libzstd-dev)")
    return ("-DAEF_ZSTD", "-lzstd")


def ask(command: list[str], lines: list[str]) -> list[dict[str, Any]]:
    """What conformance.c answers, one map a line.  A sanitizer that finds something ends it."""
    text = "".join(line + "\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers


def vectors(*folders: str) -> list[Path]:
    """The files of some folders; none is an error."""
    found = [path for folder in folders for path in sorted((VECTORS / folder).glob("*.aef"))]
    assert found, f"no vectors in {folders}"
    return found


def expected(path: Path) -> dict[str, Any]:
    """What the JSON of a vector says."""
    loaded: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return loaded


def run_lines(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Commands that run all rows of a package of profile "exact", those that are refused too, and the right answers."""
    want = expected(path)
    lines, answers = [], []

    def plain(numbers: list[int]) -> str:
        return bytes(number % 256 for number in numbers).hex()

    for i, row in enumerate(want["rows_in"]):
        sizes = [0, 0, 0, 0]
        if "sizes_in" in want:
            into, out = want["sizes_in"][i], want["sizes_out"][i]
            sizes = [*into, *out] if want["role"] == "decoder" else [*out, *into]
        lines.append(f"run {path} {' '.join(map(str, sizes))} {plain(row)}")
        answers.append({"code": "ok", "out": plain(want["rows_out"][i])})
    for row in want["rows_refused"]:
        lines.append(f"run {path} 0 0 0 0 {plain(row)}")
        answers.append({"code": "value", "out": ""})
    return lines, answers
