"""Phases of a training run: which one an epoch falls into, and the same schedule over more or fewer epochs.

Owns the counting of epochs, for every kind of recipe.  Knows nothing of what a phase does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from aeformat.errors import UsageError

PhaseT = TypeVar("PhaseT", bound=Any)  # a frozen dataclass with `epochs`


def phase_at(phases: Sequence[PhaseT], epoch: int) -> tuple[int, int]:
    """The number of the phase that `epoch` (from 0) falls into, and the epoch's number within it."""
    for number, phase in enumerate(phases):
        if epoch < phase.epochs:
            return number, epoch
        epoch -= phase.epochs
    raise AssertionError("an epoch past the last phase")


def begun(phases: Sequence[PhaseT], epoch: int) -> tuple[PhaseT, ...]:
    """The phases that have begun when `epoch` epochs are done."""
    found, seen = [], 0
    for phase in phases:
        if seen >= epoch:
            break
        found.append(phase)
        seen += phase.epochs
    return tuple(found)


def stretched(phases: Sequence[PhaseT], epochs: int) -> tuple[PhaseT, ...]:
    """The same schedule, stretched or squeezed to `epochs` in all.  Raises UsageError for none."""
    if epochs < 1:
        raise UsageError(f"cannot train for {epochs} epochs")
    whole = sum(phase.epochs for phase in phases)
    made, seen, given = [], 0, 0
    for phase in phases:
        seen += phase.epochs
        end = round(epochs * seen / whole)
        made.append(replace(phase, epochs=end - given))
        given = end
    return tuple(made)
