"""The images that rows are held against: their names, and the digests of their bytes.

Owns which files are looked at, and when a file need not be read.  What is current is compare.py's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from aeformat.container.names import BadNames, check_name
from aeformat.errors import UsageError
from aeformat.images.elsewhere import list_images_at
from aeformat.images.listing import list_images
from aeformat.paths import checked_path, is_url
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.sources import Source, read_source, stamp_of
from aeformat.remote import read_many

Images = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]
Known = Mapping[str, Source]  # by the name of an image, what a row says of it

_FETCHED: Final = 64  # files in memory at a time
NOTHING_KNOWN: Final[Known] = {}


class Image(NamedTuple):
    """One image file.  name: as rows have it.  path: a URL as a str."""

    name: str
    path: Path | str
    source: Source


class Found(NamedTuple):
    """Images by name.  left_out: what of the folder is no image, in one line; None where nothing is."""

    images: dict[str, Image]
    left_out: str | None


def read_images(images: Images, known: Known = NOTHING_KNOWN, progress: Progress = SILENT) -> Found:
    """All images.  images: a folder or a URL, whose image files are taken, or a path for each name.

    known: a file whose length and time of last change stand there is not read.  progress: told of files.
    Raises UsageError (no such folder, what is no name of a row, a file that is changed meanwhile), OSError.
    """
    if is_url(images):
        return _read_elsewhere(str(images), progress)
    found: dict[str, Image] = {}
    paths, left_out = _paths(images)
    for name, path in paths:
        before = known.get(name)
        is_known = before is not None and before.stamp is not None and before.stamp == stamp_of(path)
        found[name] = Image(name, path, before if before is not None and is_known else read_source(path))
        progress.update(1)
    return Found(found, left_out)


def _read_elsewhere(url: str, progress: Progress) -> Found:
    """All image files below a URL; each is read."""
    files, rest = list_images_at(url)
    found: dict[str, Image] = {}
    for at in range(0, len(files), _FETCHED):
        group = files[at : at + _FETCHED]
        for (name, place), data in zip(group, read_many([place for _, place in group]), strict=True):
            if isinstance(data, OSError):
                raise data
            found[name] = Image(name, place, Source(hashlib.sha256(data).digest()))
            progress.update(1)
    return Found(found, None if rest is None else f"{url}: {rest}")


def _paths(images: Images) -> tuple[list[tuple[str, Path]], str | None]:
    if not isinstance(images, Mapping):
        folder = Path(checked_path(images, instead="; or give a map of names to paths"))
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder of images")
        listing = list_images(folder)
        rest = listing.describe_left_out()
        return listing.files, None if rest is None else f"{folder}: {rest}"
    for name in images:
        try:
            check_name(name)
        except BadNames as error:
            raise UsageError(error.what) from None
    return [(name, Path(checked_path(path))) for name, path in images.items()], None
