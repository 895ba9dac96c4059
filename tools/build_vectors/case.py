"""What a vector is: a file and what every reader must say of it (spec/README.md, section "Vectors").

Owns the JSON beside each file.  A number, once given, stays: new vectors get new numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tools.build_vectors.framing import File

# The codes beside the rules in container.md and model.md.  A case says so where its rule has several.
_CODES = {
    "not-aef": "C2-1",
    "unsupported": "C2-2 C2-4 C4-5 C3-9 C3-23 M13-3 M13-6",
    "checksum": "C2-3 C2-6 C4-2 C4-11 C9-2",
    "limit": "C2-5 C3-13 C6-8 M2-6",
    "truncated": "C2-7 C4-1 C4-10 C9-1",
    "header": "C3-1 C3-2 C3-3 C3-4 C3-5 C3-7 C3-8 C3-10 C3-11 C3-12 C3-14 C3-15 C3-16 C3-17 C3-18 C3-19 C3-20 C3-22 C3-24 C3-25 C3-26",
    "structure": "C4-3 C4-4 C4-6 C4-7 C4-8 C4-9 C22-1 C22-2 C7-4 C7-5 C8-1 C9-3 C9-4 C9-7 M1-1 M1-3",
    "value": "C5-1 C5-2 C5-3 C5-4 M4-7",
    "compression": "C6-1 C6-2 C6-3 C6-4 C6-5 C6-6 C6-7 C6-9 C6-10 C6-11 C6-12 C6-13",
    "names": "C7-1 C7-2 C7-3",
    "fields": "C22-3 C22-4 C22-5 C22-6 C22-7",
    "content": "C9-5 C9-6",
    "network": "M13-1 M13-2 M13-4 M13-5",
    "golden": "M6-2",
    "receipt": "C7-6",
}
CODE_OF = {rule: code for code, rules in _CODES.items() for rule in rules.split()}


@dataclass(frozen=True, slots=True)
class Case:
    """One vector.  folder: "container/valid" and the like.  suffix: of the file beside the JSON."""

    folder: str
    number: int
    name: str
    data: bytes
    expected: dict[str, Any] = field(default_factory=dict)
    suffix: str = ".aef"

    @property
    def stem(self) -> str:
        """Path below spec/vectors, without a suffix."""
        return f"{self.folder}/{self.number:03d}-{self.name}"

    @property
    def files(self) -> dict[str, bytes]:
        """Both files of the vector, by path below spec/vectors."""
        text = json.dumps(self.expected, indent=1, ensure_ascii=True, sort_keys=False)
        return {f"{self.stem}{self.suffix}": self.data, f"{self.stem}.json": text.encode() + b"\n"}


def bad(
    number: int,
    name: str,
    file: File | bytes,
    rule: str,
    at: int,
    why: str,
    *,
    folder: str = "container",
    code: str | None = None,
    **more: Any,
) -> Case:
    """An invalid file.  more: `inside`, `only`, `seek`: see spec/README.md."""
    data = file if isinstance(file, bytes) else file.data
    code = code or CODE_OF.get(rule, "manifest")
    return Case(f"{folder}/invalid", number, name, data, {"code": code, "rule": rule, "at": at, "why": why, **more})
