"""The order in which a photograph's latents are decoded: groups of channels, each in four phases of the 2 x 2 lattice.

Owns which channels make a group, which of a position's neighbours are known in each phase, and the numbers of features that the
context model makes of each group.  Pure NumPy.

The channels of a latent stand in the order of decoding: group by group, in a group luma before chroma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PHASES: Final = ((0, 0), (1, 1), (0, 1), (1, 0))
"""(row, column) mod 2 of the positions that are decoded first, second, third and last."""
_RANK: Final = {place: rank for rank, place in enumerate(PHASES)}

_ENDS: Final = ((3, 2), (8, 2), (20, 12), (44, 12), (92, 12), (176, 256), (256, 256))
"""How many channels of luma, and of both chroma colours, the groups up to each hold, where the model has so many."""
_MOST_FEATURES: Final = 8
_FEATURE_GROUPS: Final = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that are decoded together: some of luma, then some of chroma.

    first: the number of the first one among all channels.
    """

    first: int
    luma: int
    chroma: int

    @property
    def size(self) -> int:
        """How many channels it has."""
        return self.luma + self.chroma

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
    made: list[Group] = []
    done = (0, 0)
    for ends in _ENDS:
        here = (min(ends[0], luma), min(ends[1], chroma))
        if here != done:
            made.append(Group(sum(done), here[0] - done[0], here[1] - done[1]))
        done = here
    return tuple(made)


def sources(parts: tuple[Group, ...]) -> dict[str, tuple[slice, ...]]:
    """Runs of channels that the decoder makes planes of: those of luma, of chroma, and features of the lowest."""
    luma = tuple(slice(group.first, group.first + group.luma) for group in parts if group.luma)
    chroma = tuple(slice(group.first + group.luma, group.channels.stop) for group in parts if group.chroma)
    end = parts[min(_FEATURE_GROUPS, len(parts)) - 1]
    return {"luma": luma, "chroma": chroma, "features": (slice(0, end.channels.stop),)}


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
