"""Writing a set: shards by any number of processes, and a manifest that takes them all (spec/sets.md, section 4).

Owns that a shard is whole and on disk before a manifest names it, and that no writer replaces a manifest which it has not read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aeformat.atomic import AtomicFile, sync_folder, temporary_in
from aeformat.container.reader import Latents
from aeformat.errors import UsageError
from aeformat.paths import checked_path, is_url
from aeformat.pipeline.create import create
from aeformat.pipeline.latents_file import LatentsFile
from aeformat.pipeline.sources import file_digest as file_digest
from aeformat.sets.manifest import NAME, Manifest, Shard, parse_manifest
from aeformat.sets.places import LOCK_NAME as LOCK_NAME
from aeformat.sets.places import locked as locked
from aeformat.sets.set_reader import check_shard


class SetWriter:
    """A set that is being written; `create_set` makes one, in each process that writes.

    `writer()` begins a shard; `commit()` puts the shards that were finished here into the manifest, behind those there.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.folder, self._options = folder, dict(options)
        self._finished: list[Path] = []

    def writer(self) -> ShardFile:
        """A new shard: a file as `aeformat.create` makes it, which gets its name when it is closed."""
        temporary = temporary_in(self.folder)
        return ShardFile(create(temporary, **self._options), temporary, self._finish)

    def _finish(self, temporary: Path) -> Path:
        self._finished.append(finished(temporary))
        return self._finished[-1]

    def add(self, path: str | os.PathLike[str]) -> None:
        """Take a latents file that is there, in the folder of the set or below, as a shard of the next commit."""
        self._finished.append(Path(checked_path(path)))

    def commit(self) -> Manifest:
        """Put the shards that were finished here into the manifest, and return it.

        Other processes may commit at the same time: no shard of theirs is lost, and none is added twice.
        Raises UsageError (a shard that does not go with the set), FormatError, OSError; then nothing has been committed.
        """
        facts = [shard_of(self.folder, path) for path in self._finished]
        with locked(self.folder):
            data = read_manifest(self.folder)
            if data is None and not facts:
                raise UsageError("there is nothing to commit: no shard has been finished")
            now = Manifest(facts[0][1].header, facts[0][1].field_types) if data is None else parse_manifest(data)
            for shard, of_shard in facts:
                if (of_shard.header, dict(of_shard.field_types)) != (now.header, dict(now.field_types)):
                    raise UsageError(f"{shard.name} has another header or other fields than the set; convert it first")
            new = now.with_shards((shard for shard, _ in facts), data)
            if data is None or new.shards != now.shards:
                replace_manifest(self.folder, new)
            else:
                new = now
        self._finished.clear()
        return new


class ShardFile:
    """A shard that is being written, with the methods of a LatentsFile.  path: once it is closed."""

    def __init__(self, file: LatentsFile, temporary: Path, finish: Callable[[Path], Path]) -> None:
        self._file, self._temporary, self._finish = file, temporary, finish
        self.append, self.write, self.abort = file.append, file.write, file.abort
        self.path: Path | None = None

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._file.n_rows

    def close(self) -> None:
        """Finish the shard, and name it by its digest.  It is part of the set once it is committed."""
        if self.path is None:
            self._file.close()
            self.path = self._finish(self._temporary)

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def create_set(folder: str | os.PathLike[str], **options: Any) -> SetWriter:
    """A set in a folder, which is made if it is not there, to be written by this process and others.

    options: as for aeformat.create: decoder, dims, image, encoding, codec, level, encoder, ext, fields; of a set that is there
    they must be those that its shards were made with.  Raises UsageError, OSError.  Source: spec/sets.md.
    """
    unknown = options.keys() & {"append", "force", "recover"}
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))} does not go with a set: each shard is a new file")
    if is_url(folder):
        raise UsageError(f"{folder}: a set is created in a folder; pack_set makes one at a URL")
    place = Path(checked_path(folder))
    place.mkdir(parents=True, exist_ok=True)
    return SetWriter(place, options)


def read_manifest(folder: Path) -> bytes | None:
    """The manifest's file; None where there is none."""
    try:
        return (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None


def replace_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in place, in one step; the caller holds the lock."""
    with AtomicFile(folder / NAME, force=True) as file:
        file.write(manifest.to_bytes())


def finished(temporary: Path) -> Path:
    """Name a shard that is whole by its digest (S4-1)."""
    place = temporary.parent / f"{file_digest(temporary).hex()}.aef"
    temporary.replace(place)
    sync_folder(place.parent)
    return place


def shard_of(folder: Path, path: Path) -> tuple[Shard, Manifest]:
    """A latents file as a shard of a set in this folder, and a manifest of it alone.  Raises UsageError, FormatError."""
    try:
        name = path.absolute().relative_to(folder.absolute()).as_posix()
    except ValueError:
        raise UsageError(f"{path} is not in the folder of the set; move it there first") from None
    with Latents(path) as latents:
        assert latents.content_id is not None  # it is complete
        shard = Shard(name, file_digest(path), latents.n_rows, latents.content_id, latents.n_bytes)
        of_shard = Manifest(latents.header, latents.field_types, (shard,))
        check_shard(latents, shard, of_shard)
    return shard, of_shard
