"""The graph of a network's layers, drawn in characters beside the list of layers, as `git log --graph` draws commits.

Owns the column of each value and layer.  A value's column goes on until the last layer that takes the value.  A layer stands
in the first of the columns that it takes its inputs from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

_PLAIN: Final = str.maketrans("○●│├─╮┤╯┼", "o*||-\\|/+")


def draw(inputs: Sequence[Sequence[int]]) -> list[tuple[str, int | None]]:
    """Draw the graph: its lines, each with the number of the layer on it; None between layers, -1 for the network's input.

    inputs: for each layer the numbers of the values that it takes.  Layer k makes value k + 1; value 0 is the input.
    """
    uses = Counter(value for taken in inputs for value in set(taken))
    columns: list[int | None] = [0]
    lines: list[tuple[str, int | None]] = [("○", -1)]
    for number, taken in enumerate(inputs):
        first, *others = sorted(columns.index(value) for value in set(taken))
        uses.subtract(set(taken))
        kept = columns[first]
        assert kept is not None  # columns.index found it
        if uses[kept]:
            free = next((i for i in range(first + 1, len(columns)) if columns[i] is None), len(columns))
            lines.append((_line(columns, first, "├", {free: "╮"}), None))
            columns[free : free + 1] = [kept]
        joined = {}
        for column in others:
            value = columns[column]
            assert value is not None
            joined[column] = "┤" if uses[value] else "╯"
        lines.append((_line(columns, first, "●", joined), number))
        columns = [None if joined.get(i) == "╯" else value for i, value in enumerate(columns)]
        columns[first] = number + 1
        while columns[-1] is None:
            columns.pop()
    return lines


def plain(line: str) -> str:
    """The same line in ASCII, for a terminal that cannot show the other characters."""
    return line.translate(_PLAIN)


def _line(columns: Sequence[int | None], first: int, mark: str, ends: dict[int, str]) -> str:
    """One line: `mark` in column `first`, and a stroke from it to the columns in `ends`, which end with these signs."""
    far = max(ends, default=first)
    cells = []
    for i in range(max(len(columns), far + 1)):
        is_alive = i < len(columns) and columns[i] is not None
        is_crossed = first < i < far
        if i == first:
            sign = mark
        elif i in ends:
            sign = ends[i]
        else:
            sign = {(True, True): "┼", (True, False): "│", (False, True): "─", (False, False): " "}[
                is_alive, is_crossed
            ]
        cells.append(sign + ("─" if first <= i < far else " "))
    return "".join(cells).rstrip()
