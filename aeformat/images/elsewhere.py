"""Image files below a URL, or that match a pattern: the listing of a folder, for what is no folder of this machine.

Owns that the same files count there as in a folder, by the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aeformat.images.file_names import name_problem
from aeformat.images.listing import Listing, is_image_name
from aeformat.remote import Listed, listed


class Elsewhere(NamedTuple):
    """files: (row name, URL or path), by name.  left_out: what else was there, in one line; None where nothing was."""

    files: list[tuple[str, str]]
    left_out: str | None


def list_images_at(name: str) -> Elsewhere:
    """The image files below a URL, or that match a pattern.  Raises OSError, UsageError."""
    return image_files(listed(name))


def image_files(there: Sequence[Listed]) -> Elsewhere:
    """Those of a listing that are image files."""
    found, urls = Listing(), {file.name: file.url for file in there}
    for file in there:
        if reason := _reason(file.name):
            found.leave(file.name, reason)
        else:
            found.files.append((file.name, Path(file.name)))
    return Elsewhere([(name, urls[name]) for name, _ in found.files], found.describe_left_out())


def _reason(name: str) -> str | None:
    """Why a file is left out; None where it is an image's."""
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts):
        return "hidden"
    if not is_image_name(path.name):
        suffix = path.suffix.lower()
        return f"of kind {suffix}, which is not read here" if suffix else "without a suffix"
    problem = name_problem(name)
    return None if problem is None else f"whose name {problem}"
