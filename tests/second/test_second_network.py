"""The second decoder and the vectors of spec/vectors/network agree on every network id, and on the error of every bad file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.second.errors import SpecError
from tools.second.network import network_id

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "network"


def cases(folder: str) -> list[Path]:
    found = sorted((VECTORS / folder).glob("*.safetensors"))
    assert found
    return found


@pytest.mark.parametrize("path", cases("valid"), ids=lambda path: path.stem)
def test_valid_network(path):
    want = json.loads(path.with_suffix(".json").read_text("utf-8"))

    assert network_id(path.read_bytes()) == want["network_id"]


@pytest.mark.parametrize("path", cases("invalid"), ids=lambda path: path.stem)
def test_invalid_network(path):
    want = json.loads(path.with_suffix(".json").read_text("utf-8"))

    with pytest.raises(SpecError) as caught:
        network_id(path.read_bytes())

    assert (caught.value.rule, caught.value.at, caught.value.code) == (want["rule"], want["at"], want["code"])
