"""The image files of a folder, and what else was found in it.

Owns which files count as images, in which order, and the count of what is left out, by reason: nothing is passed over without
a word.  Links are followed, to folders too; one that leads back to a folder that it is in is left out.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from aeformat.errors import UsageError
from aeformat.images.file_names import IMAGE_SUFFIXES, name_problem

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS: Final = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_MAX_REASONS: Final = 8


@dataclass(slots=True)
class Listing:
    """files: (relative POSIX name, path), sorted by name.  left_out: reason -> names."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, name: str, reason: str) -> None:
        """Count a file that is not read."""
        self.left_out.setdefault(reason, []).append(name)

    def describe_left_out(self) -> str | None:
        """What was left out, how often, and one example each; None where nothing was."""
        if not self.left_out:
            return None
        by_count = sorted(self.left_out.items(), key=lambda item: (-len(item[1]), item[0]))
        texts = [f"{len(names):,} {reason} ({_plain(min(names))})" for reason, names in by_count[:_MAX_REASONS]]
        n_others = sum(len(names) for _, names in by_count[_MAX_REASONS:])
        if n_others:
            texts.append(f"{n_others:,} others")
        return f"left out {sum(map(len, self.left_out.values())):,}: {', '.join(texts)}"


def list_images(folder: Path) -> Listing:
    """All that is in a folder and those below it.  Raises UsageError where one cannot be read."""
    found = Listing()
    waiting = [(folder, "", frozenset({_identity(folder)}))]  # with each, the folders that it is in
    while waiting:
        path, prefix, above = waiting.pop()
        for entry in _entries(path):
            name = prefix + entry.name
            if entry.name.startswith("."):
                found.leave(name, "hidden")
            elif _is(entry.is_dir):
                identity = _identity(Path(entry.path))
                if identity in above:
                    found.leave(name, "link back to a folder that it is in")
                else:
                    waiting.append((Path(entry.path), f"{name}/", above | {identity}))
            elif not is_image_name(entry.name):
                suffix = PurePosixPath(entry.name).suffix.lower()
                found.leave(name, f"of kind {suffix}, which is not read here" if suffix else "without a suffix")
            elif not _is(entry.is_file):
                found.leave(name, _kind(entry))
            elif problem := name_problem(name):
                found.leave(name, f"whose name {problem}")
            else:
                found.files.append((name, Path(entry.path)))
    found.files.sort()
    return found


def is_image_name(name: str) -> bool:
    """Whether the suffix is an image's."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _plain(name: str) -> str:
    """A name on one line; with escapes, as in Python, where it holds what cannot be shown."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is(check: Callable[[], bool]) -> bool:
    """The answer of an entry, no where there is none: a link in a circle."""
    try:
        return check()
    except OSError:
        return False


def _kind(entry: os.DirEntry[str]) -> str:
    """What an entry is that is neither folder nor file."""
    try:
        return _KINDS.get(stat.S_IFMT(entry.stat().st_mode), "of an unknown kind")
    except OSError:
        return "link to nothing"
