"""The vectors of spec/vectors, and what is different in what a reader says of one.

A reader says of a good file what is in it, with the keys of the vector's JSON; of a broken one, by role ("reader", "validator"), which
rule it breaks, or None.  Owns the comparison, so that no reader judges itself (but JavaScript, whose package has a comparison of its own
for use without Python).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "spec" / "vectors"
_FOLDERS: Final = ("container/valid", "container/invalid", "model/valid", "model/invalid")
_SAYS_NOTHING: Final = {"about", "rules", "format", "rows_in", "sizes_in", "sizes_out", "why"}
_BY_ROWS: Final = ("names", "receipts", "sizes", "fields")
_FLOAT_TOLERANCE: Final = 2**-14  # M5-2


@dataclass(frozen=True)
class Vector:
    """A file and what its JSON says.  name: folder and name, without suffix."""

    name: str
    path: Path
    want: dict[str, Any]

    @property
    def is_valid(self) -> bool:
        """Does it keep the rules?"""
        return "code" not in self.want

    @property
    def is_model(self) -> bool:
        """Is it for readers of model packages?"""
        return self.name.startswith("model/") or self.want.get("kind") == "model"

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()


class LeftOut(Exception):
    """A reader has no answer to this vector, and says so; the text is why."""


Say = Callable[[Vector], dict[str, Any]]


@dataclass(slots=True)
class Tally:
    """What a reader made of the vectors.  left_out: reason -> how many.  failed: vector -> what differs."""

    passed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For docs/conformance.json."""
        return {"passed": self.passed, "left_out": dict(sorted(self.left_out.items())), "failed": sorted(self.failed)}


def all_vectors() -> list[Vector]:
    """Every `.aef` file of spec/vectors, also those of earlier releases."""
    history = sorted(path.name for path in (FOLDER / "history").iterdir() if path.is_dir())
    folders = [*_FOLDERS, *(f"history/{name}" for name in history)]
    return [_load(path, folder) for folder in folders for path in sorted((FOLDER / folder).glob("*.aef"))]


def _load(path: Path, folder: str) -> Vector:
    return Vector(f"{folder}/{path.stem}", path, json.loads(path.with_suffix(".json").read_text("utf-8")))


def tally(vectors: Iterable[Vector], say: Say, *, silent: Iterable[str] = ()) -> Tally:
    """Ask a reader of every vector.  silent: keys that it does not tell."""
    found = Tally()
    for vector in vectors:
        try:
            wrong = differences(vector, say(vector), silent=silent)
        except LeftOut as reason:
            found.left_out[str(reason)] = found.left_out.get(str(reason), 0) + 1
            continue
        if wrong:
            found.failed[vector.name] = wrong
        else:
            found.passed += 1
    return found


def differences(vector: Vector, said: dict[str, Any], *, silent: Iterable[str] = ()) -> list[str]:
    """What is not as the JSON says; nothing if the vector is passed."""
    if not vector.is_valid:
        return _refused_otherwise(vector, said)
    want, got = _normal(vector.want), _normal(said)
    keys = set(want) - _SAYS_NOTHING - set(silent)
    if "n_chunks" in vector.want:  # the JSON of a file of history has fewer keys
        keys |= {"names", "receipts", "sizes", "fields", "described", "foreign_decoder"} & set(got) - set(silent)
    return [key for key in sorted(keys) if not _same(key, want.get(key), got.get(key), want)]


def _refused_otherwise(vector: Vector, said: dict[str, Any]) -> list[str]:
    """The validator, or who is none, names the rule, code and byte; a reader may not see what only others look for."""
    want = {key: vector.want[key] for key in ("rule", "code", "at")} | {"inside": vector.want.get("inside", "")}
    is_hidden = "only" in vector.want or vector.want["rule"] == "M6-2"
    return [
        f"{role}: {got}" for role, got in said.items() if not _fits(got, want, or_none=is_hidden and role == "reader")
    ]


def _fits(got: dict[str, Any] | None, want: dict[str, Any], *, or_none: bool) -> bool:
    """Not every reader tells `inside`."""
    return or_none if got is None else all(want[key] == value for key, value in got.items())


def _normal(facts: dict[str, Any]) -> dict[str, Any]:
    """Without what is not there, and with the numbers of a field one after the other."""
    found = {key: value for key, value in facts.items() if value is not None}
    for key in _BY_ROWS:
        if key in found and not any(found[key]):
            del found[key]
    if "fields" in found:
        found["fields"] = [
            block and {name: _flat(column) for name, column in block.items()} for block in found["fields"]
        ]
    return found


def _flat(column: Iterable[Any]) -> list[Any]:
    return [value for row in column for value in (row if isinstance(row, list) else [row])]


def _same(key: str, want: Any, got: Any, vector: dict[str, Any]) -> bool:
    if key != "rows_out" or vector["profile"] == "exact":
        return bool(want == got)
    is_float = vector["output"]["type"] == "f32"
    return len(want) == len(got) and all(map(_is_near, want, got, [is_float] * len(want)))


def _is_near(want: list[float], got: list[float], is_float: bool) -> bool:
    """Within M5-2: grey levels by one at most."""
    most = [_FLOAT_TOLERANCE * max(1, abs(number)) if is_float else 1 for number in want]
    return len(want) == len(got) and all(abs(a - b) <= m for a, b, m in zip(want, got, most, strict=True))


def as_json(value: Any) -> Any:
    """As the vectors write it: binary strings are {"hex": ...}."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (list, tuple)) else value
