"""A latents file once more, with some rows made anew, some dropped, some under another name.

Owns that all other rows keep every bit, their names, labels, sources and fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aeformat.atomic import AtomicFile
from aeformat.container.field_types import FieldTypes
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.errors import UsageError
from aeformat.pipeline.latents_file import LatentsFile
from aeformat.pipeline.opening import PriorFinder
from aeformat.pipeline.pack import writer_for
from aeformat.pipeline.sources import source_fields_of
from aeformat.staleness.encoding import Encoder, Made

if TYPE_CHECKING:
    from aeformat.container.payloads import Block
    from aeformat.reader import Latents

KEEP: Final = "keep"
ENCODE: Final = "encode"
DROP: Final = "drop"


class Action(NamedTuple):
    """What becomes of a row.  name: the one that it gets, if it is another."""

    what: str
    name: str | None = None


class _Run(NamedTuple):
    """Rows start to stop - 1 of a block, with which the same is done."""

    action: Action
    start: int
    stop: int


def begun(place: Path, header: LatentsHeader, types: FieldTypes, like: Latents | None, *, force: bool) -> LatentsFile:
    """A new file.  like: whose embedded decoder it gets, and whose prior, with codec rans.  Raises UsageError."""
    prior = PriorFinder(None)(like) if like is not None and header.codec == "rans" else None
    embedded = None if like is None else like.embedded_decoder
    if like is not None and like.has_receipts:
        raise UsageError(f"{like.name} has receipts of decoded pixels, which only aeformat.pack makes; pack it again")
    file = AtomicFile(place, force=force)
    try:
        writer = writer_for(file.file, header, None, embedded, prior)
    except BaseException:
        file.abort()
        raise
    is_rounded = bool(header.decoder) and header.values in ("f16", "bf16")
    return LatentsFile(file, writer, header, is_rounded=is_rounded, field_types=types)


def write_rows(latents: Latents, file: LatentsFile, actions: Sequence[Action], encoder: Encoder) -> None:
    """All rows of `latents`, after what was written to `file` before."""
    row = 0
    while row < latents.n_rows:
        block = latents.block_of(row)
        n_rows = len(block.values)
        for run in _runs(actions[row : row + n_rows]):
            if run.action.what == KEEP:
                _keep(file, block, run)
            elif run.action.what == ENCODE:
                _make_anew(file, block, run, encoder)
        row += n_rows


def write_new(file: LatentsFile, n_rows: int, encoder: Encoder) -> None:
    """Rows for so many new images, behind those written before.  Raises UsageError where a field has no value."""
    for made in encoder.take(n_rows):
        given = made[0].fields.keys() | source_fields_of([row.source for row in made], file.field_types).keys()
        for name, of in file.field_types.items():
            if name not in given and not of.is_variable:
                raise UsageError(
                    f"rows of new images need a value of field {name}; let encode return it (Encoded.fields)"
                )
        _add(file, made, None, {name: [None] * len(made) for name in file.field_types})


def _runs(actions: Sequence[Action]) -> Iterator[_Run]:
    """Rows that get another name come one by one, because each name is another action."""
    start = 0
    for action, group in groupby(actions):
        stop = start + sum(1 for _ in group)
        yield _Run(action, start, stop)
        start = stop


def _keep(file: LatentsFile, block: Block, run: _Run) -> None:
    part = block.slice(run.start, run.stop)
    names = part.names
    if run.action.name is not None and names is not None:
        names = RowNames((run.action.name,), names.labels, names.sources)
    file.append(part.values, names, fields=_fields_of(part))


def _fields_of(part: Block) -> dict[str, Any]:
    return {} if part.fields is None else {name: part.fields[name] for name in part.fields.types}


def _make_anew(file: LatentsFile, block: Block, run: _Run, encoder: Encoder) -> None:
    at = run.start
    for made in encoder.take(run.stop - run.start):
        part = block.slice(at, at + len(made))
        _add(file, made, part.names, _fields_of(part))
        at += len(made)


def _add(file: LatentsFile, made: Sequence[Made], before: RowNames | None, fields: dict[str, Any]) -> None:
    """Rows of one batch.  before: names of the rows in whose place they come.  fields: of these."""
    if unknown := made[0].fields.keys() - file.field_types.keys():
        raise UsageError(f"encode returned fields that the file does not have: {', '.join(sorted(unknown))}")
    labels = None if before is None else before.labels
    names = RowNames(tuple(row.image.name for row in made), labels, tuple(row.source.digest for row in made))
    own = {name: [row.fields[name] for row in made] for name in made[0].fields}
    stamps = source_fields_of([row.source for row in made], file.field_types)
    rows = [row.latents for row in made]
    sizes = [row.size for row in made if row.size is not None]
    values = rows if file.header.has_free_sizes else np.stack(rows)
    file.append(values, names, images=sizes or None, fields=fields | own | stamps)
