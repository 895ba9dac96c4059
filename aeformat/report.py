"""What the validator says of a file: its problems, and the report that they stand in (spec/README.md, the report).

Owns the report as JSON and as a line for people.  Finds nothing out (validator.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule.  code: of aeformat.errors.

    inside: "", or the tag of the chunk whose payload the offset counts from; inside_at: the byte of that payload in the file.
    """

    code: str
    rule: str
    at: int
    what: str
    inside: str = ""
    inside_at: int = 0

    @property
    def expected(self) -> str:
        """The rule as the spec states it."""
        return _rule_texts().get(self.rule, "")


@cache
def _rule_texts() -> dict[str, str]:
    text = resources.files("aeformat").joinpath("data/rules.json").read_text(encoding="utf-8")
    rules: dict[str, str] = json.loads(text)
    return rules


@dataclass(slots=True)
class Report:
    """What the validator found.  problems is empty for a file that follows the spec."""

    name: str
    problems: list[Problem] = field(default_factory=list)
    kind: str = ""
    n_rows: int = 0
    n_chunks: int = 0
    n_bytes: int = 0
    content_id: bytes = b""
    n_receipts: int = 0  # digests
    n_proved: int = 0  # of them: the pixels were decoded, and are theirs
    not_checked: str = ""  # what was not, and why
    is_content_open: bool = False  # the content id is among that
    unproved: str = ""  # why receipts were not
    is_cut_short: bool = False  # more problems than are listed

    @property
    def summary(self) -> str:
        """One line for people about a file without problems."""
        if self.kind == "set":
            return f"set, {self.n_rows:,} rows in {self.n_chunks:,} shards"
        rows = f", {self.n_rows:,} rows" if self.kind == "latents" else ""
        if self.n_receipts:
            rows += f", {self.n_receipts:,} receipts {self._proved}"
        content_id = self.content_id.hex() + (" (not checked)" if self.is_content_open else "")
        return f"{self.kind}{rows}, {self.n_chunks:,} chunks, {self.n_bytes:,} bytes, content id {content_id}"

    @property
    def _proved(self) -> str:
        if self.n_proved == self.n_receipts:
            return "proved"
        return f"of which {self.n_proved:,} proved" if self.n_proved else f"not proved: {self.unproved}"

    def as_dict(self) -> dict[str, object]:
        """The report as JSON holds it (spec/README.md, the report)."""
        return {
            "file": self.name,
            "valid": not self.problems,
            "kind": self.kind,
            "rows": self.n_rows,
            "chunks": self.n_chunks,
            "bytes": self.n_bytes,
            "content_id": self.content_id.hex(),
            "not_checked": self.not_checked,
            "receipts": self.n_receipts,
            "proved": self.n_proved,
            "problems": [
                {
                    "code": p.code,
                    "rule": p.rule,
                    "byte": p.at,
                    "what": p.what,
                    "expected": p.expected,
                    "inside": p.inside,
                    "inside_at": p.inside_at,
                }
                for p in self.problems
            ],
            "more_problems": self.is_cut_short,
        }
