"""Opening latents, of one file or of a set.

Owns what is taken for a set.  What a set takes is loaded for a set only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.reader import CACHE_BYTES, Latents
from aeformat.errors import UsageError
from aeformat.paths import is_url
from aeformat.pipeline.opening import PriorFinder, open_file

if TYPE_CHECKING:
    from aeformat.pipeline.models import AnyModel
    from aeformat.sets.set_reader import LatentsSet

OPEN_FILES: Final = 64
MANIFEST_NAME: Final = "manifest.aefset"
SUFFIX: Final = ".aefset"
_FILE_SUFFIX: Final = ".aef"


def open_latents_or_set(
    path: str | os.PathLike[str],
    *,
    decoder: AnyModel | None = None,
    limits: Limits = DEFAULT,
    cache_bytes: int = CACHE_BYTES,
    mmap: bool = False,
    incomplete: bool = False,
    open_files: int = OPEN_FILES,
) -> Latents | LatentsSet:
    """Random access to the rows of a latents file (see Latents), or of a set: its manifest, or its folder (see LatentsSet).
    Both may be at a URL, such as s3://bucket/latents/.

    decoder: for rows of codec rans: a Model, or what load_model takes; by default the one inside the file, else this
    machine's with the model id that the file names.  It is looked for when rows first need it; finding it raises
    DecoderMissing, DecoderMismatch, GoldenMismatch.
    open_files: of a set, how many of its files are open at a time.  Raises as these do.
    """
    if not is_set(path):
        return open_file(
            path, decoder=decoder, limits=limits, cache_bytes=cache_bytes, mmap=mmap, incomplete=incomplete
        )
    from aeformat.sets.set_reader import LatentsSet

    if incomplete:
        raise UsageError("a set has no incomplete shards; leave incomplete out")
    finder = PriorFinder(decoder)
    return LatentsSet(path, cache_bytes=cache_bytes, mmap=mmap, open_files=open_files, find_prior=finder)


def is_set(path: object) -> bool:
    """Whether a path is that of a manifest, by its suffix, or of a folder with one; a URL is, unless it ends in .aef."""
    if is_url(path):
        return not str(path).endswith(_FILE_SUFFIX)
    if not isinstance(path, (str, os.PathLike)):
        return False
    name = os.fspath(path)
    if not isinstance(name, str) or os.path.isdir(name):  # noqa: PTH112 - pathlib costs start-up time
        return isinstance(name, str) and os.path.isfile(os.path.join(name, MANIFEST_NAME))  # noqa: PTH113, PTH118
    return name.endswith(SUFFIX)
