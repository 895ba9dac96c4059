"""Opening latents, of one file or of a set."""

from __future__ import annotations

import os

from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.reader import CACHE_BYTES, Latents
from aeformat.errors import UsageError
from aeformat.sets.manifest import MAGIC
from aeformat.sets.set_reader import OPEN_FILES, LatentsSet, manifest_path


def open_latents_or_set(
    path: str | os.PathLike[str],
    *,
    limits: Limits = DEFAULT,
    cache_bytes: int = CACHE_BYTES,
    mmap: bool = False,
    incomplete: bool = False,
    open_files: int = OPEN_FILES,
) -> Latents | LatentsSet:
    """Random access to the rows of a latents file (see Latents), or of a set: its manifest, or its folder (see LatentsSet)."""
    if not is_set(path):
        return Latents(path, limits=limits, cache_bytes=cache_bytes, mmap=mmap, incomplete=incomplete)
    if incomplete:
        raise UsageError("a set has no incomplete shards; leave incomplete out")
    return LatentsSet(path, cache_bytes=cache_bytes, mmap=mmap, open_files=open_files)


def is_set(path: object) -> bool:
    """Whether a path is a folder with a manifest, or a manifest."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    place = manifest_path(path)
    if not place.is_file():
        return False
    with place.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
