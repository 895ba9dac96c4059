"""The tables of models/README.md that a command makes: where they stand, and how they are put there.

A table stands between two comments, `<!-- begin NAME -->` and `<!-- end NAME -->`.  Owns that convention and the layout of a Markdown
table; knows nothing of what is in one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aeformat.atomic import AtomicFile
from aeformat.errors import UsageError

CARD: Final = Path(__file__).resolve().parent.parent / "models" / "README.md"


def markdown(rows: list[list[str]], *, right: int = 1) -> str:
    """The rows as a Markdown table, the first one its heading; columns from `right` on are right-aligned."""
    rules = ["---" if i < right else "---:" for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell or " " for cell in row) + " |" for row in [rows[0], rules, *rows[1:]]]
    return "\n".join(lines) + "\n"


def table_in(text: str, name: str) -> str:
    """What stands between the two comments of that name.  Raises UsageError unless each is there once, in order."""
    return text[slice(*_place(text, name))]


def put_table(path: Path, name: str, table: str) -> None:
    """Replace the table of that name in a file.  Raises UsageError where it has no place for it."""
    text = path.read_text(encoding="utf-8")
    start, end = _place(text, name)
    with AtomicFile(path, force=True) as file:
        file.write((text[:start] + table + text[end:]).encode())


def _place(text: str, name: str) -> tuple[int, int]:
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UsageError(
            f"there is no place for the table {name!r}: the page must have {begin.strip()} and {end} once, in order"
        )
    return text.index(begin) + len(begin), text.index(end)
