"""The photographs that models learned from: source, licence and author of each, without the photographs themselves.

Owns PHOTO_SOURCES.tsv, one line a photograph, made from a list with one line for each crop of it.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from aeformat.atomic import AtomicFile
from aeformat.errors import UsageError

FILE: Final = "PHOTO_SOURCES.tsv"
PARTS: Final = ("train", "validation")
_NOBODY_TO_NAME: Final = "CC0"  # licences that ask for no attribution
_CROP_COLUMNS: Final = {"file", "source", "path", "licence", "attribution"}


class Photograph(NamedTuple):
    """part: of PARTS.  n_crops: how many crops of it are in the data."""

    part: str
    source: str
    path: str
    licence: str
    attribution: str
    n_crops: int


def of_crops(path: Path) -> list[Photograph]:
    """The photographs of a list of crops: tab-separated, with the columns file, source, path, licence, attribution.

    Raises UsageError where one has no licence or nobody to name.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or not set(rows[0]) >= _CROP_COLUMNS:
        raise UsageError(f"{path} has no columns {', '.join(sorted(_CROP_COLUMNS))}")
    for row in rows:
        has_author = row["attribution"] or (row["licence"] or "").startswith(_NOBODY_TO_NAME)
        if not (row["licence"] and has_author and row["file"].split("/")[0] in PARTS):
            raise UsageError(
                f"{path}: {row['file']} has no licence, nobody to name, or is of neither {' nor '.join(PARTS)}"
            )
    found = Counter(
        (row["file"].split("/")[0], row["source"], row["path"], row["licence"], row["attribution"] or "-")
        for row in rows
    )
    return [Photograph(*key, count) for key, count in sorted(found.items())]


def write(photographs: list[Photograph], path: Path) -> None:
    """Write the list."""
    lines = ["\t".join(Photograph._fields), *("\t".join(map(str, photograph)) for photograph in photographs)]
    with AtomicFile(path, force=True) as file:
        file.write(("\n".join(lines) + "\n").encode())


def read(path: Path) -> list[Photograph]:
    """Read it again."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        part, source, place, licence, attribution, n_crops = line.split("\t")
        found.append(Photograph(part, source, place, licence, attribution, int(n_crops)))
    return found


def table(photographs: list[Photograph]) -> list[list[str]]:
    """Rows for the card: part, source, licence, photographs, crops, whom to name (all, where they are few)."""
    rows = [["for", "source", "licence", "photographs", "crops", "whom to name"]]
    groups: dict[tuple[str, str, str], list[Photograph]] = {}
    for photograph in photographs:
        groups.setdefault((photograph.part, photograph.source, photograph.licence), []).append(photograph)
    for (part, source, licence), found in groups.items():
        people = sorted({photograph.attribution for photograph in found})
        named = people[0] if len(people) == 1 else f"{len(people)} attributions, [each photograph's]({FILE})"
        crops = sum(photograph.n_crops for photograph in found)
        rows.append([part, f"`{source}`", licence, f"{len(found):,}", f"{crops:,}", named])
    return rows
