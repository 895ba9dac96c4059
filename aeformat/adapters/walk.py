"""The files of a cache, in the order of their names: one folder's names are in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from aeformat.adapters.items import CacheFormat

LeaveOut = Callable[[str, str], None]


def files_of(folder: Path, of: CacheFormat, pattern: str | None, leave_out: LeaveOut) -> Iterator[tuple[Path, str]]:
    """(path, relative POSIX path) of each file of the format below a folder, or the file itself if it is none.

    pattern: what the name of a file must match, such as "*_te_outputs.npz".  leave_out: is called with why, and the file.
    """
    if folder.is_file():
        yield folder, folder.name
        return
    yield from _below(folder, "", of, pattern, leave_out)


def _below(
    folder: Path, prefix: str, of: CacheFormat, pattern: str | None, leave_out: LeaveOut
) -> Iterator[tuple[Path, str]]:
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in entries)
    for name, is_folder, is_link in found:
        relative = prefix + name
        if is_folder and is_link:
            leave_out("a link to a folder, which is not followed", relative)
        elif is_folder and (not_below := of.why_not_below(name)):
            leave_out(f"a folder {name} ({not_below})", relative)
        elif is_folder:
            yield from _below(folder / name, f"{relative}/", of, pattern, leave_out)
        elif (why := _why_not(of, name, pattern)) is None:
            yield folder / name, relative
        elif why:
            leave_out(why, relative)


def _why_not(of: CacheFormat, name: str, pattern: str | None) -> str | None:
    if pattern is not None:
        return None if fnmatchcase(name, pattern) else f"a file whose name does not match {pattern}"
    why = of.why_not(name)
    return why and f"a file *{Path(name).suffix} ({why})"
