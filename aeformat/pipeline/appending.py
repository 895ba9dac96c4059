"""Files of latents that are written under their own name: begun, or gone on with.

Owns what a file that is there must be to be gone on with.  How far it is whole is container/continuing.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aeformat.container.continuing import WrittenSoFar, read_written
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.errors import AeformatError, FormatError, Hint, Truncated, UsageError
from aeformat.live_file import LiveFile
from aeformat.paths import named
from aeformat.pipeline.latents_file import LatentsFile
from aeformat.pipeline.pack import writer_for

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.container.field_types import FieldTypes

_INSIDE_HEADER: Final = "C2-7"


class Wanted(NamedTuple):
    """What a caller said of a file.  header: None if nothing; `kept` are its keys that were left to the file.

    field_types: None if nothing was said.  embedded: the decoder that is to travel in it.
    """

    header: LatentsHeader | None
    kept: tuple[str, ...]
    field_types: FieldTypes | None
    level: int | None
    prior: DecoderPrior | None
    embedded: bytes | None


def appended(path: str, wanted: Wanted, *, recover: bool, rounds_to: tuple[str, ...]) -> LatentsFile:
    """The file of that name, begun or gone on with.  rounds_to: types of values that are rounded.

    Raises UsageError (there is none, and nothing says what it shall be; it is another one; it is damaged), FormatError.
    """
    file = LiveFile(path)
    try:
        with named(path):
            written = _written(file, wanted.prior)
        if written is None:
            header, types, writer = _begun(file, wanted)
        else:
            header, types = _checked(path, written, wanted, recover=recover), written.field_types
            types = wanted.field_types if not written.n_chunks else types
            file.begin_at(written.end)
            prior = wanted.prior if header.codec == "rans" else None
            writer = LatentsWriter.going_on(file.file, written, level=wanted.level, prior=prior)
    except BaseException:
        file.abort()
        raise
    return LatentsFile(file, writer, header, is_rounded=header.values in rounds_to, field_types=types)


def _written(file: LiveFile, prior: DecoderPrior | None) -> WrittenSoFar | None:
    """What is there; None if not even a whole header is."""
    try:
        return read_written(file.file, prior)
    except Truncated as error:
        if error.rule != _INSIDE_HEADER:
            raise
        return None


def _begun(file: LiveFile, wanted: Wanted) -> tuple[LatentsHeader, FieldTypes | None, LatentsWriter]:
    if wanted.header is None:
        raise UsageError(f"there are no latents in {file.path} yet; give dims and encoding, or a decoder, to begin it")
    file.begin_at(0)
    writer = writer_for(file.file, wanted.header, wanted.level, wanted.embedded, wanted.prior)
    return wanted.header, wanted.field_types, writer


def _checked(path: str, written: WrittenSoFar, wanted: Wanted, *, recover: bool) -> LatentsHeader:
    """The header of what is there, if that is what the caller wants to go on with."""
    header = written.header
    for key in () if wanted.header is None else header._fields:
        if key not in wanted.kept and getattr(wanted.header, key) != getattr(header, key):
            raise UsageError(
                f"{path} has another {key}: {getattr(header, key)!r}, not {getattr(wanted.header, key)!r}; "
                "write into another file, or leave it out"
            )
    if written.n_chunks and wanted.field_types is not None and wanted.field_types != written.field_types:
        raise UsageError(f"{path} has other fields: {', '.join(written.field_types or {}) or 'none'}; leave them out")
    if written.has_receipts:
        raise UsageError(f"{path} has receipts of its rows, which rows that are appended would not have")
    if wanted.embedded is not None and written.rows.decoder is None:
        raise UsageError(f"{path} does not carry its decoder, and cannot be given one behind its rows")
    if written.damage is not None and not isinstance(written.damage, Truncated) and not recover:
        raise _damaged(path, written, written.damage)
    return header


def _damaged(path: str, written: WrittenSoFar, damage: FormatError) -> AeformatError:
    return UsageError(
        f"{path} is damaged behind its first {written.sequence.n_rows:,} rows: {damage}; "
        "recover=True goes on there, and drops what follows",
        hint=Hint.RECOVER_ROWS,
    )
