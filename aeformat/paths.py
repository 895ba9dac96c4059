"""What a caller names a file by.

Owns the words for what is no name, what is a URL, and how errors get the name.  Knows nothing of whether there is such a file.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final

from aeformat.errors import AeformatError, UsageError

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.", re.DOTALL)  # of two letters at least: C:// is a drive


@contextlib.contextmanager
def named(source: str | None, kind: type[AeformatError] = AeformatError) -> Iterator[None]:
    """Put the name of a file into errors of this kind that are raised here, unless they have one."""
    try:
        yield
    except kind as error:
        error.source = error.source or source
        raise


def checked_path(path: object, *, instead: str = "") -> str:
    """The path, if it is a str or a pathlib.Path.  instead: advice for whoever has another thing.  Raises UsageError."""
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        if isinstance(text, str):
            return text
    raise UsageError(f"a path is a str or a pathlib.Path, and this is of type {type(path).__name__}{instead}")


def is_url(name: object) -> bool:
    """Whether a name is that of a file elsewhere: scheme://..."""
    return isinstance(name, str) and _URL.match(name) is not None


def absolute(name: str) -> str:
    """The name of a file from wherever a process stands; a URL is one already."""
    return name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 - pathlib costs start-up time that embedders would pay
