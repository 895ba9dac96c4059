"""What a rival is: how it writes an array, reads it whole, and picks rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Names: TypeAlias = Sequence[str] | None
_CHUNK_BYTES = 1 << 18  # of rows, where a rival must be told


class Place(NamedTuple):
    """The folder that holds what was written, and whether names were written too."""

    folder: Path
    has_names: bool


class Opened(ABC):
    """A file that is open, for random access; no row has been read yet."""

    @abstractmethod
    def row(self, number: int) -> Array:
        """One row, (*dims)."""

    @abstractmethod
    def rows(self, numbers: NDArray[np.int64]) -> Array:
        """Rows in the order of their numbers, which are in no order, (n, *dims)."""

    @abstractmethod
    def name(self, number: int) -> str:
        """The name of one row, where there are names."""

    def named_row(self, number: int) -> tuple[Array, str]:
        """A row and its name."""
        return self.row(number), self.name(number)


class Rival(NamedTuple):
    """One way to keep an array, (n, *dims), and perhaps a name for each row.

    write: into a folder that is there and empty.  read: all rows and names.  open: None where there is no random access.
    packages: what it takes, by distribution; imports: the modules of it.  settings: what is set and why; names: how its users keep names.
    types: the dtypes that it takes.  is_text: so slow that it is measured on one data set only.
    """

    write: Callable[[Path, Array, Names], None]
    read: Callable[[Place], tuple[Array, Names]]
    open: Callable[[Place], Opened] | None
    packages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    settings: str = ""
    names: str = ""
    types: tuple[str, ...] = ("float64", "float16", "uint16", "uint8")
    is_text: bool = False


class Sidecar(Opened):
    """Names in a text file of their own, one a line, read whole when the file is opened."""

    def __init__(self, place: Place) -> None:
        self._names = read_names(place)

    def name(self, number: int) -> str:
        """The name of one row."""
        assert self._names is not None
        return self._names[number]


def write_names(folder: Path, names: Names) -> None:
    """One a line."""
    if names is not None:
        (folder / "names.txt").write_text("\n".join(names), "utf-8")


def read_names(place: Place) -> list[str] | None:
    """What write_names wrote."""
    return (place.folder / "names.txt").read_text("utf-8").split("\n") if place.has_names else None


def rows_a_chunk(values: Array) -> int:
    """As many whole rows as make 256 KiB."""
    return max(1, min(len(values), _CHUNK_BYTES // int(values[0].nbytes)))
