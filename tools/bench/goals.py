"""What issue 17 asks of the container and of text19, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tools.bench.figures import bytes_a_row, median, ratio
from tools.bench.rivals.all import OURS

_STORED, _MAPPED = "aef, stored", "aef, stored, mapped"
_BLOSC: Final = ("blosc2", "blosc2, 2 threads")
_DIGITS, _FIELDS = "digits-f64", "fields-f16"


class Goal(NamedTuple):
    """wanted: at least that much, or at most where is_most.  found: None where it was not measured."""

    data: str
    what: str
    found: float | None
    wanted: float
    is_most: bool = False

    @property
    def is_reached(self) -> bool | None:
        if self.found is None:
            return None
        return self.found <= self.wanted if self.is_most else self.found >= self.wanted


def goals(results: dict[str, Any]) -> list[Goal]:
    """results: what __main__ writes as JSON; its "data" by name."""
    return [goal for name, data in results["data"].items() for goal in _of(name, data)]


def _of(name: str, data: dict[str, Any]) -> Iterator[Goal]:
    ours, theirs = bytes_a_row(data, OURS), bytes_a_row(data, "blosc2")
    yield Goal(name, "bytes a row, of blosc2's", _divided(ours, theirs), 1, is_most=True)
    for rival in _BLOSC:
        for column in ("write", "read"):
            yield Goal(name, f"{column}, of {rival}'s speed", ratio(data, OURS, rival, column), 0.9)
    for contender, data_set, most in ((OURS, _DIGITS, 80), (_STORED, _DIGITS, 15), (OURS, _FIELDS, 100)):
        if data_set == name:
            yield Goal(name, f"one row, us: {contender}", median(data, contender, "row"), most, is_most=True)
    for column, said in (("row", "one row"), ("batch", "256 rows")):
        found = ratio(data, _MAPPED, "npy", column)
        yield Goal(name, f"{said}, of the speed of np.load(mmap_mode='r'): {_MAPPED}", found, 0.9)
    for contender in (OURS, _STORED):
        together, one = median(data, contender, "batch"), median(data, contender, "row")
        yield Goal(name, f"256 rows, in times of one row: {contender}", _divided(together, one), 256, is_most=True)
    if "aef, text19" in data["contenders"]:
        yield Goal(name, "text19: write, of savetxt's speed (aim 5)", _text(data, "write"), 3)
        yield Goal(name, "text19: read, of loadtxt's speed (aim 3)", _text(data, "read"), 1.5)


def _text(data: dict[str, Any], column: str) -> float | None:
    return ratio(data, "aef, text19", "savetxt", column)


def _divided(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other
