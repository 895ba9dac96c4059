"""The vectors of spec/vectors, and the three ways in which bytes arrive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec"
VECTORS = SPEC / "vectors"
FEEDS = {
    "whole": lambda data: [data],
    "bytes": lambda data: [data[i : i + 1] for i in range(len(data))],
    "halves": lambda data: [data[: len(data) // 2], data[len(data) // 2 :]],
}
_MOST_BYTES = 20_000  # a larger file is not fed byte by byte


@dataclass(frozen=True)
class Vector:
    """A file and what its JSON says."""

    path: Path
    data: bytes
    expected: dict[str, Any]

    @property
    def error(self) -> tuple[str, str, int]:
        """Code, rule and byte of an invalid file."""
        return self.expected["code"], self.expected["rule"], self.expected["at"]

    def feed(self, name: str) -> list[bytes]:
        """The file's bytes in pieces."""
        pieces: list[bytes] = FEEDS["halves" if len(self.data) > _MOST_BYTES else name](self.data)
        return pieces


def load(path: Path) -> Vector:
    """The vector of an .aef file."""
    return Vector(path, path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8")))


def cases(*folders: str) -> Any:
    """A parametrize mark over the vectors of some folders; an empty folder is an error, not a pass."""
    vectors = [load(path) for folder in folders for path in sorted((VECTORS / folder).glob("*.aef"))]
    assert vectors, f"no vectors in {folders}"
    return pytest.mark.parametrize("case", vectors, ids=lambda case: f"{case.path.parts[-3]}-{case.path.stem}")


every_feed = pytest.mark.parametrize("feed", FEEDS)
