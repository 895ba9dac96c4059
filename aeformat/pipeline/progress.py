"""The progress of a long step.  The caller passes an object that shows it, or SILENT."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Counts the rows that are done."""

    def update(self, n_rows: float, /) -> object:
        """Count n_rows more as done; parts of one where a row takes long."""
        ...


class Silent:
    """Ignores the progress."""

    def update(self, n_rows: float, /) -> None:
        """Do nothing."""


SILENT = Silent()
