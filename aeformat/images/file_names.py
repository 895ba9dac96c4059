"""Row names: which are safe to make a file of, on any system, and what file they become.

Owns the rules: those of spec/container.md (C7-2), and what more it takes to make a file of a name.  Names come from
files that strangers made, so all of it is checked here, whatever a reader checked before.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from aeformat.container import limits
from aeformat.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"}
    | {".avif", ".avifs", ".pbm", ".pgm", ".pnm", ".ppm"}
)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_MAX_PART_BYTES: Final = 255  # the longest file name of the usual file systems, in UTF-8


def check_name(name: str) -> None:
    """Raises ImageError unless the name is a relative POSIX path that stays in its folder on every system."""
    wrong = name_problem(name)
    if wrong:
        raise ImageError(f"row name {name[:80]!a} {wrong}; give the image a plain relative name")


def png_name(name: str) -> str:
    """The name of the PNG file that a row becomes: an image suffix is replaced, anything else is kept.

    "a/b.jpg" -> "a/b.png", "digit.7" -> "digit.7.png".  Raises ImageError where no such file may be written.
    """
    check_name(name)
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix == ".png":
        return name
    file = name[: -len(suffix)] + ".png" if suffix in IMAGE_SUFFIXES else name + ".png"
    check_name(file)
    return file


def png_names(names: Sequence[str]) -> list[str]:
    """The files that rows become together: as `png_name`, but a name is kept whole where another row has the same file.

    ["a.jpg", "a.png", "b.jpg"] -> ["a.jpg.png", "a.png", "b.png"]; names that differ in case only count as the same here.
    Raises ImageError where no such file may be written.
    """
    files = [png_name(name) for name in names]
    taken = Counter(map(name_key, files))
    for at, (name, file) in enumerate(zip(names, files, strict=True)):
        if taken[name_key(file)] > 1 and file != name:
            files[at] = f"{name}.png"
            check_name(files[at])
    return files


def name_key(name: str) -> str:
    """Two names with one key are one file on a system that ignores case or Unicode composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def name_problem(name: str) -> str | None:
    """Why no row may have this name, to be put after "name"; None where it may."""
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not name:
        return "is empty"
    if len(encoded) > limits.NAME_BYTES:
        return f"is longer than {limits.NAME_BYTES:,} bytes"
    if _CONTROL.search(name):
        return "holds a control character"
    if "\\" in name:
        return "holds a backslash"
    if len(name) > 1 and name[1] == ":" and name[0].isascii() and name[0].isalpha():
        return "begins with a drive letter"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"has {part!r} as a part" if part else "is absolute or has an empty part"
        if len(part.encode("utf-8")) > _MAX_PART_BYTES:
            return f"has a part longer than {_MAX_PART_BYTES} bytes"
        if part[-1] in " .":
            return "has a part that ends in a space or a dot, which Windows drops"
        if part.split(".")[0].rstrip(" ").casefold() in _DEVICES:
            return "is a device on Windows"
    return None
