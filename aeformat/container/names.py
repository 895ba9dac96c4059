"""Row names: what each row is called, its label, what it was made from (spec/container.md, section 7).

Owns the payload of a nAMe chunk.  Knows nothing of files: that a name is safe to create is checked here, whether it is wise is
for whoever creates it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack

from aeformat.container import canonical, limits

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:")
_DEPTH: Final = 4
_MAP_OF_LISTS: Final = 2  # the depth of all row names that C7-1 allows
_ID_BYTES: Final = 32
_LABELS: Final = 2**32
_TYPES: Final = {"labels": int, "names": str, "sources": bytes}  # in the order of the map

_QUICK_BYTES: Final = 256 << 10  # what _quick reads before all of it was looked at; an item takes a few times its bytes
_NEVER_IN_NAMES: Final = bytes({*range(0x20), 0x7F, *b"\\"} - {*b"\n"})  # of _CONTROL; a line feed is between names
_UTF8_BYTES: Final = 4  # of a character, at most


class BadNames(ValueError):
    """Row names that break section 7.  rule: "C7-2"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


class RowNames:
    """One entry a row in each list that is there.

    names: relative POSIX paths.  labels: 0 to 2^32 - 1.  sources: SHA-256 of what each row was made from.
    """

    __slots__ = ("labels", "names", "sources")

    def __init__(
        self,
        names: tuple[str, ...] | None = None,
        labels: tuple[int, ...] | None = None,
        sources: tuple[bytes, ...] | None = None,
    ) -> None:
        self.names, self.labels, self.sources = names, labels, sources

    def __repr__(self) -> str:
        return f"RowNames(names={self.names!r}, labels={self.labels!r}, sources={self.sources!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowNames) and self._columns() == other._columns()

    def __hash__(self) -> int:
        return hash(self._columns())

    def __len__(self) -> int:
        return max((len(column) for column in (self.names, self.labels, self.sources) if column is not None), default=0)

    def slice(self, start: int, stop: int) -> RowNames:
        """The entries of rows start to stop - 1."""
        return RowNames(*(None if column is None else column[start:stop] for column in self._columns()))

    def pick(self, numbers: Sequence[int]) -> RowNames:
        """The entries of these rows, in that order."""
        return RowNames(
            *(None if column is None else tuple(column[number] for number in numbers) for column in self._columns())
        )

    def _columns(self) -> tuple[tuple[Any, ...] | None, ...]:
        return self.names, self.labels, self.sources

    @property
    def columns(self) -> tuple[bool, ...]:
        """Which of names, labels and sources are there."""
        return tuple(column is not None for column in self._columns())

    @classmethod
    def join(cls, parts: Sequence[RowNames]) -> RowNames:
        """One after the other.  A column that some part lacks is lost."""
        columns = zip(*(part._columns() for part in parts), strict=True)
        joined = (
            None if any(piece is None for piece in column) else tuple(item for piece in column for item in piece or ())
            for column in columns
        )
        return cls(*joined)

    def to_bytes(self) -> bytes:
        """Raw payload of a nAMe chunk.  Raises BadNames."""
        fields: dict[str, list[Any]] = {}
        for key in _TYPES:
            column = getattr(self, key)
            if column is not None:
                fields[key] = list(column)
        if all(_are_of_type(key, column) for key, column in fields.items()):
            try:
                quick: bytes = msgpack.packb(fields, use_bin_type=True)
                if _quick(quick, len(self)) is not None:
                    return quick
            except (ValueError, OverflowError):
                pass  # what is wrong is said below
        _check_names(self.names)  # first, because msgpack has no words for what is no text at all
        data = canonical.pack(fields)
        parse_names(data, len(self))
        return data


def parse_names(data: bytes, n_rows: int) -> RowNames:
    """The names of n_rows rows.  Raises BadNames."""
    found = _quick(data, n_rows)
    return _parse_names(data, n_rows) if found is None else found


def _quick(data: bytes, n_rows: int) -> RowNames | None:
    """What _parse_names finds, if all is well: many times as fast, because msgpack's and Python's compiled loops do it.

    None where something is wrong, large or unusual; _parse_names says what.
    """
    if len(data) > _QUICK_BYTES:
        return None
    try:
        fields = _read_flat(data, n_rows)
        if list(fields) != sorted(fields) or not fields or msgpack.packb(fields, use_bin_type=True) != data:
            return None
    except (ValueError, TypeError, msgpack.exceptions.UnpackException):
        return None
    if not all(_are_of_type(key, column) for key, column in fields.items()):
        return None
    are_good = (
        min(fields.get("labels", [0])) >= 0
        and max(fields.get("labels", [0])) < _LABELS
        and set(map(len, fields.get("sources", ()))) <= {_ID_BYTES}
        and ("names" not in fields or _are_plain(fields["names"]))
    )
    if not are_good:
        return None
    return RowNames(**{key: tuple(column) for key, column in fields.items()})


def _read_flat(data: bytes, n_rows: int) -> dict[str, list[Any]]:
    """The map of lists, each of n_rows items that are neither lists nor maps.

    Item by item: the library makes room for all that a list announces, and a list may announce what never comes.
    Raises ValueError, TypeError, UnpackException.
    """
    unpacker = msgpack.Unpacker(raw=False, max_array_len=0, max_map_len=0, max_ext_len=0)
    unpacker.feed(data)
    fields: dict[str, list[Any]] = {}
    for _ in range(unpacker.read_map_header()):
        key = unpacker.unpack()
        if key not in _TYPES or unpacker.read_array_header() != n_rows:
            raise ValueError("no map of row names")
        fields[key] = [unpacker.unpack() for _ in range(n_rows)]
    return fields


def _are_of_type(key: str, column: list[Any]) -> bool:
    return set(map(type, column)) == {_TYPES[key]}


def _are_plain(names: list[str]) -> bool:
    """Whether check_name lets all of these texts through, and no two are equal.  False also where it takes a closer look."""
    lines = "\n".join(names)
    parts = "\n" + lines.replace("/", "\n") + "\n"
    encoded = lines.encode("utf-8")
    return (
        max(map(len, names)) * _UTF8_BYTES <= limits.NAME_BYTES
        and lines.count("\n") == len(names) - 1
        and len(encoded.translate(None, _NEVER_IN_NAMES)) == len(encoded)
        and ":" not in lines  # of a drive, perhaps
        and not any(part in parts for part in ("\n\n", "\n.\n", "\n..\n"))
        and len(set(names)) == len(names)
    )


def _parse_names(data: bytes, n_rows: int) -> RowNames:
    """The names of n_rows rows, item by item.  Raises BadNames."""
    try:
        if canonical.scan(data, _DEPTH) > _MAP_OF_LISTS:  # before anything is built of it
            raise BadNames("C7-1", "row names nest deeper than a map of lists")
        fields = canonical.build(data)
    except canonical.NotCanonical as error:
        raise BadNames(error.rule, f"row names: {error.what}") from None
    unknown = sorted(fields.keys() - _CHECKS.keys())
    if unknown or not fields:
        what = f"an unknown key {reprlib.repr(unknown[0])}" if unknown else "no key"
        raise BadNames("C7-1", f"row names have {what}")
    for key in _TYPES:
        column = fields.get(key)
        if column is None:
            continue
        if not isinstance(column, list) or len(column) != n_rows:
            raise BadNames("C7-1", f"row names: {key} is not a list of {n_rows} entries")
        for row, item in enumerate(column):
            if not _CHECKS[key](item):
                raise BadNames("C7-1", f"row names: {key}[{row}] is {reprlib.repr(item)}")
    _check_names(fields.get("names"))
    if len(set(fields.get("names", ()))) < len(fields.get("names", ())):
        raise BadNames("C7-3", "row names: two rows of one chunk have the same name")
    return RowNames(**{key: tuple(column) for key, column in fields.items()})


_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "names": lambda item: isinstance(item, str),
    "labels": lambda item: type(item) is int and 0 <= item < _LABELS,
    "sources": lambda item: isinstance(item, bytes) and len(item) == _ID_BYTES,
}


def _check_names(names: Sequence[str] | None) -> None:
    for name in names or ():
        check_name(name)


def check_name(name: str) -> None:
    """C7-2: a relative POSIX path that cannot leave its folder.  Raises BadNames."""
    try:
        n_bytes = len(name.encode("utf-8"))
    except UnicodeEncodeError:  # a file name that was no UTF-8, as Python hands it out
        raise BadNames("C7-2", f"row name {name[:80]!r} is not Unicode text") from None
    if not 1 <= n_bytes <= limits.NAME_BYTES:
        raise BadNames("C7-2", f"a row name of {n_bytes} bytes, allowed are 1 to {limits.NAME_BYTES}")
    if _CONTROL.search(name) or any(part in ("", ".", "..") for part in name.split("/")):
        raise BadNames("C7-2", f"row name {name[:80]!r} is not a safe relative path")
