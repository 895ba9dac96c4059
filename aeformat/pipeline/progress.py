"""How a long step tells how far it is.  The caller may draw it, or ignore it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of rows as they are done."""

    def update(self, n_rows: int, /) -> object:
        """n_rows more are done."""
        ...


class Silent:
    """Tells nobody."""

    def update(self, n_rows: int, /) -> None:
        """Do nothing."""


SILENT = Silent()
