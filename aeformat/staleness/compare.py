"""Rows against images: which are current.

Owns what each state means.  Reads no file: rows are names and digests, images too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from aeformat.staleness.folder import Image

CURRENT: Final = "current"
OUTDATED: Final = "outdated"
CHANGED: Final = "changed"
RENAMED: Final = "renamed"
GONE: Final = "gone"
UNKNOWN: Final = "unknown"
STATES: Final[Mapping[str, str]] = {
    CURRENT: "the image has the content that the row was made from",
    OUTDATED: "that is so, but the decoder or the preprocessing is another",
    CHANGED: "the image of that name has another content",
    RENAMED: "the image has that content, under another name",
    GONE: "no image has that name or that content",
    UNKNOWN: "the row does not say what it was made from",
}


class Row(NamedTuple):
    """What a row says of itself.  digest: SHA-256 of what it was made from."""

    name: str | None
    digest: bytes | None


class Matched(NamedTuple):
    """states: of each row.  images: the image of each row, where it has one.  new: images that no row is of, by name."""

    states: list[str]
    images: list[Image | None]
    new: list[Image]


def matched(rows: Sequence[Row], images: Mapping[str, Image]) -> Matched:
    """The state of each row.  Content comes first: an image that a row's digest fits is never called changed.

    In this order: rows whose name and digest an image has are current (without a name, the digest alone); what is left and has
    the digest of an image that is left is renamed, one name to one name; what has the name of an image that is left is
    changed; all others are gone.  Rows without a digest are unknown, and an image of that name is none that is new.
    No row is outdated here: that is for who knows of the decoder.
    """
    made = Matched([UNKNOWN] * len(rows), [None] * len(rows), [])
    by_digest = defaultdict(list)
    for image in images.values():
        by_digest[image.source.digest].append(image)
    used: set[str] = set()
    _match_same(rows, images, by_digest, made, used)
    _match_renamed(rows, by_digest, made, used)
    left = {name: image for name, image in images.items() if name not in used}
    for number, row in enumerate(rows):
        if made.images[number] is None and row.name is not None and row.name in left:
            made.images[number] = left[row.name]
            made.states[number] = UNKNOWN if row.digest is None else CHANGED
            used.add(row.name)
        elif made.images[number] is None and (row.digest is not None or row.name is not None):
            made.states[number] = GONE
    made.new.extend(image for name, image in sorted(images.items()) if name not in used)
    return made


def _match_same(
    rows: Sequence[Row],
    images: Mapping[str, Image],
    by_digest: Mapping[bytes, list[Image]],
    made: Matched,
    used: set[str],
) -> None:
    for number, row in enumerate(rows):
        if row.digest is None:
            continue
        image = images.get(row.name) if row.name is not None else None
        if row.name is None and row.digest in by_digest:
            image = by_digest[row.digest][0]
        if image is not None and image.source.digest == row.digest:
            made.states[number], made.images[number] = CURRENT, image
            used.add(image.name)


def _match_renamed(rows: Sequence[Row], by_digest: Mapping[bytes, list[Image]], made: Matched, used: set[str]) -> None:
    now: dict[tuple[str | None, bytes], Image] = {}  # all rows of one image follow it
    for number, row in enumerate(rows):
        if row.digest is None or made.images[number] is not None:
            continue
        key = row.name, row.digest
        image = now.get(key) or next((i for i in by_digest.get(row.digest, ()) if i.name not in used), None)
        if image is not None:
            now[key] = image
            used.add(image.name)
            made.states[number], made.images[number] = RENAMED, image
