"""A column of texts or bytes: lengths, and all values one after the other (spec/container.md, section 22).

Owns how such values are picked, joined and made.  Nothing is made for a value before somebody asks for it.
NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import limits
from aeformat.container.field_types import BYTES, TEXT, BadFields

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_VALUE: Final = 0xFFFFFFFF  # as a length
_CONTINUES: Final = (0xC0, 0x80)  # the bits of a byte that begins no character, and what they then are


class VariableColumn:
    """Values of one field, each of its own length: of rows of one chunk, or of many.

    data: bytes with all values in it.  starts: where each begins, int64.  lengths: uint32, NO_VALUE where there is none.
    """

    __slots__ = ("data", "is_text", "lengths", "starts")

    def __init__(self, data: bytes, starts: NDArray[Any], lengths: NDArray[Any], *, is_text: bool) -> None:
        self.data, self.starts, self.lengths, self.is_text = data, starts, lengths, is_text

    @classmethod
    def of(
        cls, values: Sequence[str | bytes | None], *, is_text: bool, most: int = limits.CHUNK_BYTES
    ) -> VariableColumn:
        """Of these values, none of more bytes than `most`.  Raises TypeError (another type), BadFields (C22-6, C22-7)."""
        import numpy as np

        kind = str if is_text else (bytes, bytearray, memoryview)
        wrong = next((value for value in values if value is not None and not isinstance(value, kind)), None)
        if wrong is not None:
            raise TypeError(f"a {TEXT if is_text else BYTES} field takes no {type(wrong).__name__}")
        try:
            stored = [
                None if value is None else value.encode("utf-8") if isinstance(value, str) else bytes(value)
                for value in values
            ]
        except UnicodeEncodeError as error:
            raise BadFields("C22-7", f"a text that is not Unicode: {error.object[:80]!r}") from None
        if any(value is not None and len(value) > most for value in stored):
            raise BadFields("C22-6", f"a value of more than {most:,} bytes, which no chunk holds")
        lengths = np.array([NO_VALUE if value is None else len(value) for value in stored], np.uint32)
        return cls(b"".join(value or b"" for value in stored), _starts(lengths), lengths, is_text=is_text)

    @classmethod
    def parse(cls, raw: bytes, at: int, n_rows: int, *, is_text: bool) -> tuple[VariableColumn, int]:
        """The column of n_rows values from byte `at` on, not yet checked, and where it ends.  Raises BadFields (C22-6)."""
        import numpy as np

        data_at = at + 4 * n_rows
        if data_at > len(raw):
            raise BadFields("C22-6", "fields end inside the lengths of a column")
        lengths = np.frombuffer(raw, "<u4", n_rows, at).astype(np.uint32)
        end = data_at + int(_n_bytes(lengths).sum())
        if end > len(raw):
            raise BadFields("C22-6", "fields end inside the values of a column")
        return cls(raw[data_at:end], _starts(lengths), lengths, is_text=is_text), end

    def check(self) -> None:
        """C22-7 of a column as it was parsed: all texts together are UTF-8, and each begins where a character does."""
        import numpy as np

        if not self.is_text:
            return

        try:
            self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadFields("C22-7", f"a text that is not UTF-8: {error.reason}") from None
        mask, continues = _CONTINUES
        first = np.frombuffer(self.data, np.uint8)[self.starts[_n_bytes(self.lengths) > 0]]
        if ((first & mask) == continues).any():
            raise BadFields("C22-7", "a text that begins inside a character")

    def __len__(self) -> int:
        return len(self.lengths)

    def value(self, row: int) -> str | bytes | None:
        """One value; None where there is none."""
        start, length = int(self.starts[row]), int(self.lengths[row])
        if length == NO_VALUE:
            return None
        data = self.data[start : start + length]
        return data.decode("utf-8") if self.is_text else data

    def values(self) -> list[str | bytes | None]:
        """All values."""
        return [self.value(row) for row in range(len(self))]

    def take(self, rows: slice | NDArray[Any]) -> VariableColumn:
        """Some rows, in that order; no value is copied."""
        return VariableColumn(self.data, self.starts[rows], self.lengths[rows], is_text=self.is_text)

    @property
    def sizes(self) -> NDArray[Any]:
        """Bytes that each row takes in a chunk, its length included, int64."""
        return _n_bytes(self.lengths) + 4

    def to_bytes(self) -> bytes:
        """The column as it stands in a chunk."""
        ends = (self.starts + _n_bytes(self.lengths)).tolist()
        values = b"".join(self.data[start:end] for start, end in zip(self.starts.tolist(), ends, strict=True))
        return bytes(self.lengths.astype("<u4").tobytes()) + values

    @classmethod
    def join(cls, parts: Sequence[VariableColumn]) -> VariableColumn:
        """One after the other."""
        import numpy as np

        lengths = np.concatenate([part.lengths for part in parts])
        data = b"".join(part.to_bytes()[4 * len(part) :] for part in parts)
        return cls(data, _starts(lengths), lengths, is_text=parts[0].is_text)


def _n_bytes(lengths: NDArray[Any]) -> NDArray[Any]:
    """Bytes of each value."""
    import numpy as np

    return np.where(lengths == NO_VALUE, 0, lengths).astype(np.int64)


def _starts(lengths: NDArray[Any]) -> NDArray[Any]:
    n_bytes = _n_bytes(lengths)
    starts: NDArray[Any] = n_bytes.cumsum() - n_bytes
    return starts
