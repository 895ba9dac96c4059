"""A set, or one file -> a cache as another tool has it.

Owns which rows make one file.  One file's rows are in memory at a time, or one row's where a file has many.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from aeformat.adapters.importing import EXT
from aeformat.adapters.items import CacheFormat, Item, Value
from aeformat.adapters.registry import GENERIC, format_of
from aeformat.adapters.report import CacheReport
from aeformat.adapters.safetensors_files import unpacked
from aeformat.adapters.schema import FILE, KEYS, METADATA, OURS
from aeformat.adapters.tensors import of_array, of_row
from aeformat.atomic import sync_folder, temporary_in
from aeformat.container.names import BadNames, check_name
from aeformat.errors import CacheInvalid, UsageError
from aeformat.paths import named
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.sets.opening import open_latents_or_set


def export_cache(
    name: str, source: str | os.PathLike[str], target: str | os.PathLike[str], progress: Progress = SILENT
) -> CacheReport:
    """Write the rows of a set or a file as a cache, a folder that appears whole.  progress: counts rows.

    Raises UsageError (a target that is there, rows that the format does not take), FormatError, OSError.
    """
    of, place = format_of(name), Path(target)
    if place.exists() or place.is_symlink():
        raise UsageError(f"{target} is there already; give a name that is not")
    if not place.absolute().parent.is_dir():
        raise UsageError(f"cannot write {target}: the folder {place.parent} does not exist")
    report = CacheReport(name)
    temporary = temporary_in(place.absolute().parent)
    with open_latents_or_set(source) as latents:
        about = _about(latents, of, os.fspath(source))
        report.dims, report.encoding = [size or None for size in latents.header.dims], latents.header.encoding
        temporary.mkdir()
        try:
            items = _items(latents, of, about, progress)
            for file, rows in groupby(items, key=lambda item: item.file):
                _write(of, temporary, file, rows, report)
            temporary.rename(place)
            sync_folder(place.absolute().parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return report


def _about(latents: Any, of: CacheFormat, source: str) -> dict[str, Any]:
    """What the import has left in the header.  Raises UsageError for rows of another tool's cache."""
    about = latents.header.ext.get(EXT, {})
    if not isinstance(about, dict):
        about = {}
    made = about.get("format")
    if of.name not in GENERIC and made != of.name:
        was = f"was imported from {made}" if made else "was not imported from a cache"
        raise UsageError(f"{source} {was}; export it as that, or as one of {', '.join(GENERIC)}")
    return about


def _write(of: CacheFormat, folder: Path, file: str, rows: Iterator[Item], report: CacheReport) -> None:
    try:
        check_name(file)
    except BadNames as error:
        raise CacheInvalid(f"the name of a file in the set: {error.what}") from None
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise UsageError(f"two files would have the name {file}: rows of one name do not follow one another")

    def counted() -> Iterator[Item]:
        for item in rows:
            report.rows += 1
            yield item

    with named(file):
        for lost in of.write(path, counted()):
            report.lose(lost, file)
    report.files += 1
    report.bytes += path.stat().st_size


def _items(latents: Any, of: CacheFormat, about: dict[str, Any], progress: Progress) -> Iterator[Item]:
    """The rows, in their order."""
    header, fields = latents.header, latents.fields
    packed = set(about.get("tensors", ()))
    is_own = about.get("format") == of.name
    row = 0
    while row < latents.n_rows:
        block = latents.block_of(row)
        names = block.names.names if block.names is not None else None
        columns = {name: block.fields[name] for name in fields} if block.fields is not None else {}
        for i in range(row - block.first_row, len(block.values)):
            name = names[i] if names is not None else f"row-{row:08d}"
            given = {field: column[i] for field, column in columns.items()}
            yield _item(name, of_row(block.values[i], header.values), given, packed, of, is_own=is_own)
            row += 1
            progress.update(1)


def _item(name: str, latent: Any, given: dict[str, Any], packed: set[str], of: CacheFormat, *, is_own: bool) -> Item:
    extras: dict[str, Value] = {}
    for field, value in given.items():
        if field in OURS or value is None:
            continue
        if field in packed:
            extras[field] = unpacked(value)
        else:
            extras[field] = value if isinstance(value, (str, bytes)) else of_array(_array(value))
    keys, metadata = _json(given.get(KEYS)), _json(given.get(METADATA))
    if keys is not None and not all(isinstance(key, str) for key in keys.values()):
        raise CacheInvalid(f"row {name}: its {KEYS} are no texts")
    if of.name not in GENERIC and not keys:
        raise CacheInvalid(f"row {name} does not say what it was called in a file of {of.name}")
    file = given.get(FILE) or name
    return Item(file if is_own else of.file_name(file), name, latent, keys or {}, extras, metadata)


def _array(value: Any) -> Any:
    import numpy as np

    return np.asarray(value)


def _json(text: str | None) -> Any:
    """Raises CacheInvalid."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CacheInvalid(f"a field of the set that an import makes is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise CacheInvalid("a field of the set that an import makes is no JSON object")
    return found
