"""What an import or an export has done, and what it could not keep: for people, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Lost:
    """One thing that was not kept.  n: how often; first: the first file that has it."""

    n: int
    first: str


@dataclass
class CacheReport:
    """not_kept: by what it is.  skipped: files that could not be read, and why."""

    format: str
    rows: int = 0
    files: int = 0
    shards: int = 0
    source_bytes: int = 0
    bytes: int = 0
    dims: list[int | None] = field(default_factory=list)
    encoding: str = ""
    fields: dict[str, list[Any]] = field(default_factory=dict)
    not_kept: dict[str, Lost] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def lose(self, what: str, where: str) -> None:
        """Count something that is not kept."""
        self.not_kept.setdefault(what, Lost(0, where)).n += 1

    def skip(self, file: str, why: str) -> None:
        """Keep in mind a file that could not be read."""
        self.skipped[file] = why

    def to_map(self) -> dict[str, Any]:
        """As JSON has it."""
        lost = [{"what": what, "count": found.n, "first": found.first} for what, found in self.not_kept.items()]
        skipped = [{"file": file, "why": why} for file, why in self.skipped.items()]
        return {**vars(self), "not_kept": lost, "skipped": skipped}

    def lines(self) -> list[str]:
        """What was not kept, a line each."""
        lost = [f"not kept: {found.n:,} x {what} (first {found.first})" for what, found in self.not_kept.items()]
        return lost + [f"skipped: {file}: {why}" for file, why in self.skipped.items()]
