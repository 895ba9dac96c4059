"""`check`: what of a file or a set is stale.

Owns the report, and what of a file is read for it: names, sources, two fields; no row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aeformat.container.described import Described
from aeformat.container.header import LatentsHeader
from aeformat.errors import UsageError
from aeformat.paths import checked_path
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.sources import SOURCE_BYTES, SOURCE_MTIME, Source, keeps_stamps
from aeformat.sets.opening import open_latents_or_set
from aeformat.staleness.compare import CURRENT, OUTDATED, RENAMED, STATES, Matched, Row, matched
from aeformat.staleness.folder import NOTHING_KNOWN, Found, Images, Known, read_images
from aeformat.staleness.preparation import (
    ANOTHER,
    NOT_NAMED,
    Difference,
    decoder_state,
    differences,
    given_network,
    named_decoder,
)

if TYPE_CHECKING:
    from aeformat.exchange.network_id import NetworkId
    from aeformat.reader import Latents
    from aeformat.sets.set_reader import LatentsSet


@dataclass(frozen=True)
class Checked:
    """What `check` found.

    rows: what each row says of itself; states: of each row, one of STATES.  images: how many there are; new: names of those
    that no row is of.  renamed: row -> the name that its image has now.
    decoder: "the same", "another", "not named" (the file names none) or "not compared"; decoder_ids: in the file, as given.
    described: what differs in the preprocessing; is_described_compared: whether it was looked at.
    left_out: what of the folder is no image, in one line.
    """

    name: str
    rows: tuple[Row, ...]
    states: tuple[str, ...]
    images: int
    new: tuple[str, ...]
    renamed: dict[int, str]
    decoder: str
    decoder_ids: tuple[bytes, bytes]
    described: tuple[Difference, ...]
    is_described_compared: bool
    left_out: str | None = None

    def numbers(self, state: str) -> list[int]:
        """The rows in one of the states.  Raises UsageError for another word."""
        if state not in STATES:
            raise UsageError(f"{state!r} is no state of a row; there are {', '.join(STATES)}")
        return [number for number, found in enumerate(self.states) if found == state]

    @property
    def is_decoder_stale(self) -> bool:
        """Whether a decoder was given, and the file does not say that it is that one."""
        return self.decoder in (ANOTHER, NOT_NAMED)

    @property
    def is_current(self) -> bool:
        """Whether nothing is stale, nothing unknown, and no image is new."""
        is_prepared = not self.described and not self.is_decoder_stale
        return is_prepared and not self.new and all(state == CURRENT for state in self.states)


def check(
    path: str | os.PathLike[str],
    images: Images,
    *,
    decoder: str | os.PathLike[str] | bytes | None = None,
    described: Described | None = None,
    fast: bool = False,
    progress: Progress = SILENT,
) -> Checked:
    """Which rows of a latents file or a set are current, outdated, changed, renamed, gone or unknown, and which images are new.

    images: a folder, or a map of names to paths; path and images may be URLs.  Each image file is read, and its SHA-256
    compared.
    decoder: a file as `model_id` takes it, or the 32 bytes of an id; None: not compared.
    described: all of how images are prepared now, compared key by key; None: not compared.
    fast: do not read image files whose length and time of last change are those in the fields of SOURCE_FIELDS.  It misses an
    image that was edited and given its old length and time back.

    No row is read.  Names and digests of all rows are kept, about 1,000 bytes a row.
    Raises UsageError, FormatError, OSError.  Source: docs/checking.md.
    """
    network = given_network(decoder)
    return compared(path, images_for(path, images, fast=fast, progress=progress), network, described)[0]


def images_for(path: str | os.PathLike[str], images: Images, *, fast: bool, progress: Progress = SILENT) -> Found:
    """All images; with `fast` those are not read whose stamps are what the rows at `path` say."""
    known = NOTHING_KNOWN
    if fast:
        with open_latents_or_set(path) as latents:
            known = _known(latents, tuple(rows_of(latents)))
    return read_images(images, known, progress)


def compared(
    path: str | os.PathLike[str], found: Found, network: NetworkId | None, described: Described | None
) -> tuple[Checked, Matched]:
    """The report, and the image of each row."""
    if described is not None and not isinstance(described, Described):
        raise UsageError(f"described is an aeformat.Described, and this is of type {type(described).__name__}")
    with open_latents_or_set(path) as latents:
        header, rows = latents.header, tuple(rows_of(latents))
    result = matched(rows, found.images)
    return _report(checked_path(path), header, rows, result, found, network, described), result


def _report(
    name: str,
    header: LatentsHeader,
    rows: tuple[Row, ...],
    result: Matched,
    found: Found,
    network: NetworkId | None,
    described: Described | None,
) -> Checked:
    renamed = {
        number: image.name
        for number, (state, image) in enumerate(zip(result.states, result.images, strict=True))
        if state == RENAMED and image is not None
    }
    made = Checked(
        name=name,
        rows=rows,
        states=tuple(result.states),
        images=len(found.images),
        new=tuple(image.name for image in result.new),
        renamed=renamed,
        decoder=decoder_state(header, network),
        decoder_ids=(named_decoder(header), b"" if network is None else network.id),
        described=differences(header.described, described),
        is_described_compared=described is not None,
        left_out=found.left_out,
    )
    if not made.is_decoder_stale and not made.described:
        return made
    return replace(made, states=tuple(OUTDATED if state in (CURRENT, RENAMED) else state for state in made.states))


def rows_of(latents: Latents | LatentsSet) -> Iterator[Row]:
    """What each row says of itself.  No row is read.  Raises FormatError."""
    for _, n_rows, said in latents.all_names():
        names: tuple[Any, ...] = (None,) * n_rows if said is None or said.names is None else said.names
        digests: tuple[Any, ...] = (None,) * n_rows if said is None or said.sources is None else said.sources
        yield from map(Row, names, digests)


def _known(latents: Latents | LatentsSet, rows: tuple[Row, ...]) -> Known:
    """What rows say of the files that they were made from.  Raises UsageError where they say nothing of the kind."""
    if not keeps_stamps({name: field.type for name, field in latents.fields.items()}):
        raise UsageError(
            f"{latents.name} does not keep when its images were last changed, so all must be read: check without fast; or "
            "write it with the fields of SOURCE_FIELDS"
        )
    stamps = zip(latents.fields[SOURCE_BYTES], latents.fields[SOURCE_MTIME], strict=True)
    return {
        row.name: Source(row.digest, (int(n_bytes), int(mtime)))
        for row, (n_bytes, mtime) in zip(rows, stamps, strict=True)
        if row.name is not None and row.digest is not None
    }
