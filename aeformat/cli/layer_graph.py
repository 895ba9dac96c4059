"""A network's branches beside its list of layers, in characters, as version control draws its history.

Owns who stands in which lane.  A value's lane goes on until its last taker; a layer stands in the first lane that it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

_PLAIN: Final = str.maketrans("○●│├─╮┤╯┼", "o*||-\\|/+")


def draw(inputs: Sequence[Sequence[int]]) -> list[tuple[str, int | None]]:
    """Lines, and the number of the layer on each: None for a line between layers, -1 for the network's input.

    inputs: of each layer, numbers of values; layer k makes value k + 1.
    """
    uses = Counter(value for taken in inputs for value in set(taken))
    lanes: list[int | None] = [0]
    lines: list[tuple[str, int | None]] = [("○", -1)]
    for number, taken in enumerate(inputs):
        first, *others = sorted(lanes.index(value) for value in set(taken))
        uses.subtract(set(taken))
        kept = lanes[first]
        assert kept is not None  # lanes.index found it
        if uses[kept]:
            aside = next((i for i in range(first + 1, len(lanes)) if lanes[i] is None), len(lanes))
            lines.append((_line(lanes, first, "├", {aside: "╮"}), None))
            lanes[aside : aside + 1] = [kept]
        joined = {}
        for lane in others:
            value = lanes[lane]
            assert value is not None
            joined[lane] = "┤" if uses[value] else "╯"
        lines.append((_line(lanes, first, "●", joined), number))
        lanes = [None if joined.get(i) == "╯" else value for i, value in enumerate(lanes)]
        lanes[first] = number + 1
        while lanes[-1] is None:
            lanes.pop()
    return lines


def plain(line: str) -> str:
    """The same in ASCII, for terminals that have nothing else."""
    return line.translate(_PLAIN)


def _line(lanes: Sequence[int | None], first: int, mark: str, ends: dict[int, str]) -> str:
    """One line: a mark in its lane, and a stroke from it to the lanes of `ends`."""
    far = max(ends, default=first)
    cells = []
    for i in range(max(len(lanes), far + 1)):
        is_alive = i < len(lanes) and lanes[i] is not None
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
