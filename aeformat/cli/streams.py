"""Standard streams as the commands need them: none is missing, and what is printed can be shown.

A command may be started with a standard stream closed.  Python then has None in its place, and the next file that is opened
gets its descriptor: what some library prints would go into that file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import Any, Final, TextIO

from aeformat.errors import UsageError

_DIRECTIONS: Final = "\u202a-\u202e\u2066-\u2069"  # change the order in which characters are shown
_MOVES: Final = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{_DIRECTIONS}]")
_UNPRINTABLE: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_DIRECTIONS}]")


class Absent(io.TextIOBase):
    """In place of a standard stream that is closed: whoever needs it gets a UsageError."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def buffer(self) -> Any:
        """Raises UsageError."""
        raise UsageError(f"{self._name} is closed")

    def write(self, text: str) -> int:
        """Raises UsageError."""
        raise UsageError(f"{self._name} is closed, and the result was to go there")


class Printed:
    """A text stream that shows control characters as escapes: a name must not move the cursor or colour the terminal.

    error: the last that writing raised, for argparse says nothing of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write the text with what can be shown in place of what cannot."""
        try:
            return self._stream.write(_MOVES.sub(_escape, text))
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Said(Printed):
    """Messages beside the result: where they cannot be written, nobody hears them, and the work goes on."""

    def write(self, text: str) -> int:
        """Write the text, or nothing."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits, or nothing."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def shown(text: str) -> str:
    """A name from outside, on one line and without control characters."""
    return _UNPRINTABLE.sub(_escape, text)


def prepare() -> None:
    """Have all three standard streams, and let them show what their encoding cannot as escapes."""
    for number in (0, 1, 2):
        _occupy(number)
    if sys.stdin is None:
        sys.stdin = Absent("standard input")
    sys.stdout = Absent("standard output") if sys.stdout is None else Printed(_escaping(sys.stdout))
    if sys.stderr is None:  # print(file=None) would write to standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115
    sys.stderr = Said(_escaping(sys.stderr))


def _occupy(number: int) -> None:
    """See to it that no other file gets the descriptor of a standard stream."""
    try:
        os.fstat(number)
    except OSError:
        wrong_way = os.O_RDONLY if number else os.O_WRONLY  # whoever uses the descriptor itself gets an error
        os.set_inheritable(os.open(os.devnull, wrong_way), True)  # the lowest number that is free: this one


def _escaping(stream: TextIO) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
