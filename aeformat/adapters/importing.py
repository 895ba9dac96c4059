"""A cache of another tool -> a set, or one file.

Owns the two walks: the first reads the heads of all files, for what rows have in common; the second writes the rows.  A few
files and one batch of rows are in memory, whatever the cache holds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aeformat.adapters.items import CacheFormat, Item
from aeformat.adapters.registry import format_of
from aeformat.adapters.report import CacheReport
from aeformat.adapters.schema import Schema, field_values
from aeformat.adapters.walk import files_of
from aeformat.atomic import sync_folder, temporary_in
from aeformat.container.names import BadNames, check_name
from aeformat.errors import AeformatError, CacheInvalid, UsageError
from aeformat.paths import named
from aeformat.pipeline.create import create
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.sets.set_writer import create_set

EXT: Final = "cache"  # the key of `ext` in the header, under which the format stands
SHARD_BYTES: Final = 1 << 30
_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 1_024


@dataclass
class ImportOptions:
    """key: which array of a file is the latent.  files: a pattern that the names of files match.

    skip_broken: leave out, and report, files that cannot be read.  shard_bytes: when a shard is full, in bytes of values.
    codec: as of aeformat.create.  foreign_decoder: the network id of the decoder.
    """

    key: str | None = None
    files: str | None = None
    skip_broken: bool = False
    shard_bytes: int = SHARD_BYTES
    codec: str | None = None
    foreign_decoder: bytes | None = None


def import_cache(
    name: str,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    options: ImportOptions,
    progress: Progress = SILENT,
) -> CacheReport:
    """Read a cache, and write a set that appears whole; one file if the target ends in .aef.  progress: counts rows.

    Raises UsageError (a target that is there, a format or a key that is none), CacheInvalid with the name of the file, OSError.
    """
    of, folder, place = format_of(name), Path(source), Path(target)
    if not folder.exists():
        raise UsageError(f"{source}: there is no such folder")
    if place.exists() or place.is_symlink():
        raise UsageError(f"{target} is there already; give a name that is not")
    if not place.absolute().parent.is_dir():
        raise UsageError(f"cannot write {target}: the folder {place.parent} does not exist")
    if of.many and options.skip_broken:
        raise UsageError(f"a file of format {name} has many rows, so none can be skipped")
    report = CacheReport(name)
    reader = _Reader(of, folder, options, report)
    schema = Schema()
    for path, file in reader.files(report.lose):
        reader.take(path, file, lambda items: _add_all(schema, items, report))
    if not schema.n_rows:
        which = f"file of format {name}" if options.files is None else f"file whose name matches {options.files}"
        raise UsageError(f"{source}: there is nothing to import: no {which}")
    _write(reader, schema, place, options, report, progress)
    return report


def _add_all(schema: Schema, items: Iterator[Item], report: CacheReport) -> None:
    for item in items:
        schema.add(item)
        for lost in item.lost:
            report.lose(lost, item.file)


class _Reader:
    """The files of a cache; what is wrong with one gets its name, or is skipped."""

    def __init__(self, of: CacheFormat, folder: Path, options: ImportOptions, report: CacheReport) -> None:
        self._of, self._folder, self._options, self._report = of, folder, options, report

    @property
    def has_many_rows(self) -> bool:
        """Whether the rows of a file are written as they come."""
        return self._of.many

    def files(self, leave_out: Any) -> Iterator[tuple[Path, str]]:
        """Those that were not skipped."""
        for path, file in files_of(self._folder, self._of, self._options.files, leave_out):
            if file not in self._report.skipped:
                yield path, file

    def take(self, path: Path, file: str, use: Any) -> bool:
        """Hand the rows of a file to a function; False if it is skipped."""
        try:
            with named(os.fspath(path)):
                use(self._of.items(path, file, self._options.key))
        except UsageError:
            raise
        except AeformatError as error:
            if not self._options.skip_broken:
                raise
            self._report.skip(file, error.sentence)
            return False
        return True


def _write(
    reader: _Reader, schema: Schema, place: Path, options: ImportOptions, report: CacheReport, progress: Progress
) -> None:
    temporary = temporary_in(place.absolute().parent)
    try:
        writer = _Writer(temporary, schema, options, report, progress, is_set=place.suffix != ".aef")
        use = writer.add_each if reader.has_many_rows else writer.add_file
        for path, file in reader.files(lambda _why, _file: None):
            if reader.take(path, file, use):
                report.files += 1
                report.source_bytes += path.stat().st_size
        writer.close()
        temporary.rename(place)
        sync_folder(place.absolute().parent)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


class _Writer:
    """Rows to shards, batch by batch."""

    def __init__(
        self,
        place: Path,
        schema: Schema,
        options: ImportOptions,
        report: CacheReport,
        progress: Progress,
        *,
        is_set: bool,
    ) -> None:
        self._schema, self._report, self._progress = schema, report, progress
        self._types = schema.fields
        ext = {EXT: {"format": report.format, "tensors": schema.packed}}
        created: dict[str, Any] = {
            "dims": schema.dims, "encoding": schema.encoding, "fields": self._types, "ext": ext,
            "codec": options.codec, "foreign_decoder": options.foreign_decoder,
        }  # fmt: skip
        self._place, self._shard_bytes = place, options.shard_bytes
        self._set = create_set(place, **created) if is_set else None
        self._created = created
        self._shard: Any = None
        self._in_shard = 0
        self._rows: list[tuple[str, Any, dict[str, Any]]] = []
        self._in_batch = 0
        report.dims, report.encoding = list(schema.dims), schema.encoding
        report.fields = {name: _words(kind) for name, kind in self._types.items()}

    def add_file(self, items: Iterator[Item]) -> None:
        """The rows of a file: all of them, or none after an error."""
        n_before = len(self._rows)
        try:
            for item in items:
                self._add(item)
        except BaseException:
            del self._rows[n_before:]
            raise
        self._flush_if_full()

    def add_each(self, items: Iterator[Item]) -> None:
        """The rows of a file that has many."""
        for item in items:
            self._add(item)
            self._flush_if_full()

    def _flush_if_full(self) -> None:
        if len(self._rows) >= _BATCH_ROWS or self._in_batch >= min(_BATCH_BYTES, self._shard_bytes):
            self._flush()

    def _add(self, item: Item) -> None:
        import numpy as np

        self._schema.check(item)
        try:
            check_name(item.name)
        except BadNames as error:
            raise CacheInvalid(error.what) from None
        values = item.latent.values()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise CacheInvalid(f"the latent of {item.name} holds a NaN or an infinity, which no row can (rule C5-3)")
        self._rows.append((item.name, values, field_values(item, self._types)))
        self._in_batch += values.nbytes

    def _flush(self) -> None:
        if not self._rows:
            return
        import numpy as np

        if self._shard is None:
            self._shard = self._set.writer() if self._set else create(self._place, **self._created)
        fields = {name: [row[2][name] for row in self._rows] for name in self._types}
        for name, kind in self._types.items():
            if isinstance(kind, tuple):
                fields[name] = np.stack(fields[name])  # type: ignore[assignment]
        latents = [row[1] for row in self._rows]
        is_free = None in self._created["dims"]
        self._shard.append(latents if is_free else np.stack(latents), [row[0] for row in self._rows], fields=fields)
        self._report.rows += len(self._rows)
        self._progress.update(len(self._rows))
        self._in_shard += self._in_batch
        self._rows, self._in_batch = [], 0
        if self._set and self._in_shard >= self._shard_bytes:
            self._end_shard()

    def _end_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._report.shards += 1
        self._shard, self._in_shard = None, 0

    def close(self) -> None:
        """Write what is left, and commit."""
        self._flush()
        self._end_shard()
        if not self._report.shards:
            raise UsageError("there is nothing to import: all files were skipped")
        if self._set:
            manifest = self._set.commit()
            self._report.bytes = sum(shard.bytes for shard in manifest.shards)
        else:
            self._report.bytes = self._place.stat().st_size


def _words(kind: Any) -> list[Any]:
    if isinstance(kind, tuple):
        return [kind[0], *kind[1]]
    return ["text" if kind is str else "bytes"]
