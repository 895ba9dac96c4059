"""aeformat model id: one line for each network, or one JSON document; errors are one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aeformat.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
VECTOR = ROOT / "spec" / "vectors" / "network" / "valid" / "001-by-hand.safetensors"
PACKAGE = ROOT / "models" / "mnist-exact.decoder.aef"
ID = "2389c97e93959efdefa8bb5322b6ae40ace4fbbc8d8c8c1173d768e406de54d8"


def test_a_line_for_each(capsys):
    """As sha256sum prints them; a package by its model id."""
    assert main(["model", "id", str(VECTOR), str(PACKAGE)]) == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{ID}  {VECTOR}"
    assert main(["info", "--json", str(PACKAGE)]) == 0
    assert second == f"{json.loads(capsys.readouterr().out)['model']}  {PACKAGE}"


def test_as_json(capsys):
    assert main(["model", "id", "--json", str(VECTOR), str(PACKAGE)]) == 0

    first, second = json.loads(capsys.readouterr().out)["networks"]
    assert first == {"file": str(VECTOR), "id": ID, "kind": "foreign", "tensors": 2, "bytes": 6}
    assert (second["kind"], second.keys()) == ("package", {"file", "id", "kind"})


@pytest.mark.parametrize(
    ("name", "data", "code", "what"),
    [
        ("cut.safetensors", VECTOR.read_bytes()[:-1], 1, "rule M13-1"), ("x.pt", b"", 2, "safetensors.torch.save_file"),
        ("x.txt", b"", 2, ".safetensors, .keras, .h5, .onnx or .aef"), ("folder", None, 2, "is a folder"), ("gone", b"", 2, "no such file"),
        ("latents.aef", (ROOT / "spec" / "vectors" / "container" / "valid" / "001-small.aef").read_bytes(), 2, "holds latents"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors_are_one_line(tmp_path, capsys, name, data, code, what):
    """With the name of the file, and nothing on stdout."""
    path = tmp_path / name
    if data is None:
        path.mkdir()
    elif name != "gone":
        path.write_bytes(data)

    assert main(["model", "id", str(path)]) == code

    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and str(path) in err and what in err
