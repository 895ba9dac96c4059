"""What a caller names a file by.

Owns the words for what is no name.  Knows nothing of whether there is such a file.
"""

from __future__ import annotations

import os

from aeformat.errors import UsageError


def checked_path(path: object, *, instead: str = "") -> str:
    """The path, if it is a str or a pathlib.Path.  instead: advice for whoever has another thing.  Raises UsageError."""
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        if isinstance(text, str):
            return text
    raise UsageError(f"a path is a str or a pathlib.Path, and this is of type {type(path).__name__}{instead}")
