"""What the runs of a contender come to: one figure a round, and of the rounds the best, the median, and ratios within rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, Final, NamedTuple

_MB: Final = 1e6
_US: Final = 1e6  # microseconds in a second


class Column(NamedTuple):
    """figure: of the run of one round.  is_rate: more is better."""

    label: str
    do: str
    figure: Callable[[dict[str, Any], int], float]
    is_rate: bool = False


COLUMNS: Final = {
    "write": Column("write, MB/s", "write", lambda run, n_bytes: n_bytes / float(run["seconds"]) / _MB, is_rate=True),
    "read": Column("read, MB/s", "read", lambda run, n_bytes: n_bytes / float(run["seconds"]) / _MB, is_rate=True),
    "open": Column("open, us", "pick", lambda run, _: float(run["open"]) * _US),
    "row": Column("one row, us", "pick", lambda run, _: float(run["row"]) * _US),
    "batch": Column("256 rows, us", "pick", lambda run, _: float(run["batch"]) * _US),
}


def rounds_of(data: dict[str, Any], name: str, column: str) -> list[float]:
    """A figure for each round; empty where a contender cannot do it, or is not there."""
    found, kind = data["contenders"].get(name), COLUMNS[column]
    runs = [] if found is None else found["runs"].get(kind.do, [])
    return [kind.figure(run, data["bytes"]) for run in runs]


def median(data: dict[str, Any], name: str, column: str) -> float | None:
    """Of the rounds."""
    rounds = rounds_of(data, name, column)
    return statistics.median(rounds) if rounds else None


def best(data: dict[str, Any], name: str, column: str) -> float | None:
    """Of the rounds."""
    rounds = rounds_of(data, name, column)
    return (max if COLUMNS[column].is_rate else min)(rounds) if rounds else None


def ratio(data: dict[str, Any], ours: str, theirs: str, column: str) -> float | None:
    """The median over rounds of how many times as fast `ours` was in that round."""
    pairs = list(zip(rounds_of(data, ours, column), rounds_of(data, theirs, column), strict=False))
    if not pairs:
        return None
    return statistics.median(own / other if COLUMNS[column].is_rate else other / own for own, other in pairs)


def bytes_a_row(data: dict[str, Any], name: str) -> float | None:
    """Of all its files."""
    found = data["contenders"].get(name)
    return None if found is None else found["runs"]["write"][0]["bytes"] / data["rows"]


def peak_mb(data: dict[str, Any], name: str, do: str) -> float | None:
    """The most of the rounds, beyond the array that is written or read; None where it was not measured."""
    runs = data["contenders"][name]["runs"][do]
    peaks = [run["peak"] for run in runs if run["peak"] is not None]
    return max(peaks) / _MB if peaks else None
