"""What a caller names a file by.

Owns the words for what is no name, and how errors get the name.  Knows nothing of whether there is such a file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from aeformat.errors import AeformatError, UsageError


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
