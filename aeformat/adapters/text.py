"""Folders of .txt as numpy.savetxt writes them: a row a line, numbers as binary64.

Values are kept; how numbers are written, commas and comments are not, unless they are as savetxt has them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from aeformat.adapters.items import LATENT, CacheFormat, Item
from aeformat.adapters.tensors import Tensor
from aeformat.container.limits import ROW_BYTES
from aeformat.errors import CacheInvalid, UsageError

_MOST: Final = ROW_BYTES  # characters of a line
_COMMENT: Final = "#"
_LOST: Final = "line whose numbers are written otherwise, or with a comment: values are the same"


class TextFiles(CacheFormat):
    """A folder of .txt."""

    name, suffix, many = "text", ".txt", True

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        if key is not None:
            raise UsageError("a file of numbers as text has no keys")
        waiting: Item | None = None  # for what is lost of the lines behind it
        lost: list[str] = []
        with path.open("rb") as lines:
            number = 0
            while line := lines.readline(_MOST):
                number += 1
                numbers = _numbers(line, number)
                if not numbers or line != _line(numbers):
                    lost.append(_LOST)
                if not numbers:
                    continue
                if waiting is not None:
                    yield waiting
                waiting, lost = Item(file, f"{file}/{number:08d}", _tensor(numbers), {LATENT: ""}, lost=lost), []
        if waiting is not None:
            yield waiting._replace(lost=[*waiting.lost, *lost])

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """As CacheFormat's."""
        with path.open("wb") as file:
            for item in items:
                file.write(_line(item.latent.bits().tolist()))
        return []


def _numbers(line: bytes, number: int) -> list[float]:
    """Raises CacheInvalid."""
    try:
        text = line.decode("ascii").partition(_COMMENT)[0]
        if "_" in text:  # which Python allows between digits
            raise ValueError
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise CacheInvalid(f"line {number} holds something that is no number") from None


def _tensor(numbers: list[float]) -> Tensor:
    return Tensor("f64", (len(numbers),), lambda: struct.pack(f"<{len(numbers)}d", *numbers))


def _line(numbers: list[float]) -> bytes:
    """As numpy.savetxt has it."""
    return (" ".join(f"{number:.18e}" for number in numbers) + "\n").encode()
