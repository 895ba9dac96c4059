"""Promise: the tools that hold spec, vectors, code and tests together notice when they come apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .vectors import ROOT, SPEC, VECTORS

_PAGES = ("container.md", "model.md", "sets.md")


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.build_vectors", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def check_spec(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "check_spec.py"), "--root", str(root), *_PAGES, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_vectors_are_what_the_builder_builds() -> None:
    """Every vector is byte for byte what the spec's builder makes today, on this machine."""
    done = build("--check")

    assert done.returncode == 0, done.stderr


def test_builder_owes_nothing_to_the_package() -> None:
    """It imports nothing of aeformat, nor any library that the package reads with."""
    code = "import sys, tools.build_vectors.__main__ as m; list(m.all_cases()); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"aeformat", "msgpack", "zstandard", "numpy"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Vectors that may be broken."""
    shutil.copytree(VECTORS, tmp_path / "vectors")
    return tmp_path / "vectors"


def test_builder_refuses_to_change_a_vector(copy: Path) -> None:
    """A file that differs is reported and left alone, with --check or without; one that is missing is written."""
    changed, missing = copy / "container/valid/001-small.aef", copy / "model/valid/001-dense.json"
    changed.write_bytes(b"other")
    missing.unlink()

    first = build("--check", "--root", str(copy))
    second = build("--root", str(copy))

    assert first.returncode == second.returncode == 1
    assert "001-small.aef: differs" in first.stderr and "001-dense.json: missing" in first.stderr
    assert "001-small.aef: differs" in second.stderr and "001-dense.json" not in second.stderr
    assert changed.read_bytes() == b"other" and missing.exists()


def test_builder_finds_a_file_that_nothing_builds(copy: Path) -> None:
    (copy / "container/invalid/999-mine.aef").write_bytes(b"")

    assert "999-mine.aef: nothing builds this" in build("--check", "--root", str(copy)).stderr


def test_every_rule_has_code_a_vector_and_a_test() -> None:
    done = check_spec(ROOT, "--json")

    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert done.returncode == 0 and found["n_vectors"] >= 150


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository that check_spec finds no fault with: one rule, its code, its vector."""
    for folder in ("spec/vectors/a/invalid", "aeformat", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    page = "| rule | | code | byte |\n|---|---|---|---|\n| **Z1-1** | A rule. | `bad` | `chunk + 4` or `8` |\n"
    page += "| **Z1-2** | Another. | `bad` | in words |\n\n| rules | why |\n|---|---|\n| Z1-2 | So. |\n"
    (tmp_path / "spec" / "model.md").write_text(page)
    (tmp_path / "aeformat" / "code.py").write_text('"""Z1-1 to Z1-2."""\n')
    (tmp_path / "tests" / "test_it.py").write_text('"""Z1-2."""\n')
    (tmp_path / "spec/vectors/a/invalid/001-x.aef").write_bytes(bytes(24) + b"abCd" + bytes(28) + b"TAIL")
    (tmp_path / "spec/vectors/a/invalid/001-x.json").write_text('{"rule": "Z1-1", "code": "bad", "at": 28, "why": ""}')
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        (None, "", ""),
        ("aeformat/code.py", "# Z1-2", "Z1-1: nothing in aeformat/ cites it"),
        ("aeformat/more.py", "# Z1-3", "Z1-3: cited in code (aeformat/more.py), defined nowhere"),
        ("tests/test_it.py", "", "Z1-2: no vector breaks it and no test cites it"),
        ("tests/more.py", "# Z9-1", "Z9-1: cited in tests (tests/more.py), defined nowhere"),
        ("spec/vectors/a/invalid/001-x.json", '{"rules": []}', "Z1-1: no vector shows it"),
        (
            "spec/vectors/a/invalid/001-x.json",
            '{"rule": "Z1-9", "code": "bad"}',
            "names Z1-9, which is defined nowhere",
        ),
        (
            "spec/vectors/a/invalid/001-x.json",
            '{"rule": "Z1-1", "code": "evil", "at": 28}',
            "gives Z1-1 no code 'evil'",
        ),
        ("spec/vectors/a/invalid/001-x.json", '{"rule": "Z1-1", "code": "bad", "at": 24}', "gives Z1-1 no byte 24"),
        ("spec/vectors/a/invalid/001-x.json", '{"rule": "Z1-1", "code": "bad", "at": 60}', "gives Z1-1 no byte 60"),
        ("spec/vectors/a/invalid/001-x.json", '{"rules": ["Z1-1", "Z1-2"]}', "says that it has no vector, but it has"),
        ("spec/vectors/a/002-y.json", "{}", "002-y.json: there is no .aef or .safetensors file beside it"),
        ("spec/vectors/a/002-y.aef", "", "002-y.aef: there is no .json file beside it"),
    ],
)
def test_check_spec_notices(tree: Path, file: str | None, text: str, problem: str) -> None:
    """Each way of coming apart is named, and the exit code is 1."""
    if file is not None:
        (tree / file).write_text(text)

    done = check_spec(tree)

    assert done.returncode == (1 if problem else 0), done.stderr
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("name", "change"),
    [("tags", "dECo"), ("encodings", "u16le"), ("layers", "gelu"), ("header_keys", "ext"), ("errors", "value")],
)
def test_check_spec_compares_registry_and_tables(tmp_path: Path, name: str, change: str) -> None:
    """A name that only the page knows is a problem."""
    for folder in ("aeformat", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    shutil.copytree(SPEC, tmp_path / "spec", ignore=shutil.ignore_patterns("vectors"))
    (tmp_path / "spec" / "vectors").symlink_to(VECTORS)
    path = tmp_path / "spec" / "registry.json"
    registry = json.loads(path.read_text("utf-8"))
    registry[name] = [entry for entry in registry[name] if change not in (entry.get(key) for key in _KEYS)]
    path.write_text(json.dumps(registry))

    done = check_spec(tmp_path)

    assert done.returncode == 1 and f"['{change}'] are in the page only" in done.stderr


_KEYS = ("tag", "encoding", "kind", "key", "code")
