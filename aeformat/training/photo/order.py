"""The order in which a photograph's latents are decoded: groups of channels, each in four phases of the 2 x 2 lattice.

Owns which channels make a group, which of a position's neighbours are known in each phase, and the numbers of features that the
context model makes of each group.  Pure NumPy.

The channels of a latent stand in the order of decoding: group by group, in a group luma or chroma alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

PHASES: Final = ((0, 0), (1, 1), (0, 1), (1, 0))
"""(row, column) mod 2 of the positions that are decoded first, second, third and last."""
_RANK: Final = {place: rank for rank, place in enumerate(PHASES)}

Colour = Literal["luma", "chroma"]

_LUMA_ENDS: Final = (1, 3, 8, 20, 44, 92, 176, 256)
_CHROMA_ENDS: Final = (2, 12, 256)  # counted over both chroma colours
_TURNS: Final[tuple[tuple[Colour, int], ...]] = (
    ("luma", 0), ("chroma", 0), ("luma", 1), ("luma", 2), ("chroma", 1), ("luma", 3), ("luma", 4), ("luma", 5),
    ("chroma", 2), ("luma", 6), ("luma", 7),
)  # fmt: skip
_MOST_FEATURES: Final = 8
_FEATURE_GROUPS: Final = 6


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that are decoded together.

    first: the number of the first one among all channels.  of_colour: its number among those of its colour.
    """

    colour: Colour
    first: int
    of_colour: int
    size: int

    @property
    def features(self) -> int:
        """How many numbers later groups see of this one at each position."""
        return min(2 * self.size, _MOST_FEATURES)

    @property
    def channels(self) -> slice:
        """Where it stands among all channels."""
        return slice(self.first, self.first + self.size)


def groups(luma: int, chroma: int) -> tuple[Group, ...]:
    """The groups of so many luma channels, and so many of both chroma colours together, in the order of decoding."""
    limits = {"luma": luma, "chroma": chroma}
    ends = {"luma": _LUMA_ENDS, "chroma": _CHROMA_ENDS}
    made: list[Group] = []
    for colour, number in _TURNS:
        start = ends[colour][number - 1] if number else 0
        size = min(ends[colour][number], limits[colour]) - start
        if size > 0:
            first = made[-1].first + made[-1].size if made else 0
            made.append(Group(colour, first, start, size))
    return tuple(made)


def sources(parts: tuple[Group, ...]) -> dict[str, tuple[slice, ...]]:
    """Runs of channels that the decoder makes planes of: those of luma, of chroma, and features of the lowest."""
    made = {colour: tuple(group.channels for group in parts if group.colour == colour) for colour in ("luma", "chroma")}
    end = parts[min(_FEATURE_GROUPS, len(parts)) - 1]
    return {**made, "features": (slice(0, end.first + end.size),)}


def numbers(runs: tuple[slice, ...]) -> NDArray[np.intp]:
    """The channels of some runs, one by one."""
    return np.concatenate([np.arange(run.start, run.stop) for run in runs])


def known_neighbours(phase: int) -> NDArray[np.float32]:
    """(3, 3): 1 where the neighbour of a position of this phase is decoded before it, else 0."""
    row, column = PHASES[phase]
    known = np.zeros((3, 3), np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            known[down + 1, right + 1] = _RANK[(row + down) % 2, (column + right) % 2] < phase
    return known
