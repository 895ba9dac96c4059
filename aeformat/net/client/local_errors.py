"""Telling errors of this machine from errors of the connection.

While a body is sent or received, files are read and written and the caller's callbacks are called.  Their errors can be of
the same classes as those of a socket.  `local` marks them where they come up, so that nobody takes one for a lost connection
and tries again; `unmarked` raises them as what they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class LocalError(Exception):
    """The mark on an error of this machine, between `local` and `unmarked`.  error: the one that was raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextlib.contextmanager
def local() -> Iterator[None]:
    """Mark what is raised in this block, which reads or writes files or calls the caller.  Raises LocalError."""
    try:
        yield
    except Exception as error:
        raise LocalError(error) from error


@contextlib.contextmanager
def unmarked() -> Iterator[None]:
    """Raise what `local` marked in this block as what it was, with the cause and the context that it had."""
    try:
        yield
        return
    except LocalError as marked:
        error = marked.error
    raise error
