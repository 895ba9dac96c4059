"""Promise: .pt files come back the same, and no pickle runs.  In a program of its own, which has torch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from aeformat.adapters.importing import ImportOptions, import_cache
from aeformat.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def test_there_and_back(tmp_path, torch_command, torch_environment):
    """Tensors and dicts, plain and compressed; what is no file of tensors is refused by name, and does not run."""
    paths = os.pathsep.join(filter(None, [str(ROOT), torch_environment.get("PYTHONPATH")]))
    done = subprocess.run(
        [*torch_command, "-m", "tools.caches.torch_files", str(tmp_path), "7"],
        cwd=ROOT, env={**torch_environment, "PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "must not run" not in done.stdout

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["format"], line["rows"], line["encoding"]) for line in lines[:3]] == [
        ("pt", 7, "bf16le"), ("simpletuner", 7, "bf16le"), ("diffusion-pipe", 7, "f16le"),
    ]  # fmt: skip
    assert [line["refused"] for line in lines[3:]] == ["pickle.pt", "cut.pt", "none.pt"]
    assert all(line["refused"] in line["why"] for line in lines[3:])


def test_without_torch_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"x")

    try:
        import_cache("pt", tmp_path, tmp_path / "set", ImportOptions())
    except UsageError as error:
        assert "aeformat[torch]" in str(error)
    else:
        raise AssertionError("it was imported")
