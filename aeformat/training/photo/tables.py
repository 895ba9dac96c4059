"""The shared tables of frequencies of a photograph model, fitted to the latents of its training photographs.

Owns counting and how far a table reaches.  Pure NumPy.  Symbols are differences of a latent and its mean, modulo 256: a table
has the frequency of difference d at place d mod 256.  Differences that a table does not reach have frequency 0, so they take
nothing away from the others; they are coded as an escape, the last frequency of a table (spec/model.md, section 10.1).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.training.photo.context import LEAST_LEVEL
from aeformat.training.photo.passes import N_TABLES, TABLES_PER_OCTAVE
from aeformat.training.prior_fit import frequencies

N_SYMBOLS: Final = 256
BITS: Final = 16
_BELIEF: Final = 64.0  # symbols' worth of the logistic distribution of a table's level, beside what was counted
_REACH: Final = 24  # a table reaches so many scales either side, and at least
_LEAST_REACH: Final = 12

Counts = NDArray[np.int64]


def count(latents: NDArray[Any], means: NDArray[Any], picks: NDArray[Any]) -> Counts:
    """(N_TABLES, N_SYMBOLS): how often each difference came under each table.  Three arrays of one shape, integers."""
    symbols = (latents.astype(np.int64) - means) % N_SYMBOLS
    flat = picks.astype(np.int64) * N_SYMBOLS + symbols
    return np.bincount(flat.reshape(-1), minlength=N_TABLES * N_SYMBOLS).reshape(N_TABLES, N_SYMBOLS)


def fit(counts: Counts) -> NDArray[np.int32]:
    """(N_TABLES, N_SYMBOLS + 1): frequencies that sum to 2^BITS in each table, 0 for what it does not reach."""
    return np.stack([_fit_one(number, mine) for number, mine in enumerate(counts)])


def _fit_one(number: int, mine: NDArray[np.int64]) -> NDArray[np.int32]:
    differences = _differences()
    scale = 2.0 ** (LEAST_LEVEL + number / TABLES_PER_OCTAVE)
    seen = np.abs(differences[mine > 0]).max(initial=0)
    reach = max(_LEAST_REACH, round(_REACH * scale), 2 * int(seen))
    reached = np.abs(differences) <= reach
    wanted = mine[reached] + _BELIEF * _logistic(differences[reached], scale)
    reached = np.append(
        reached, not reached.all()
    )  # the escape, where something needs it: never seen, so the least there is
    wanted = np.append(wanted, np.zeros(int(reached[-1])))
    made = np.zeros(N_SYMBOLS + 1, np.int32)
    made[reached] = frequencies(wanted[None], BITS)[0]
    return made


def _differences() -> NDArray[np.int64]:
    """(N_SYMBOLS,): -128..127, each at its place."""
    half = N_SYMBOLS // 2
    return (np.arange(N_SYMBOLS) + half) % N_SYMBOLS - half


def _logistic(differences: NDArray[np.int64], scale: float) -> NDArray[np.float64]:
    """Probabilities of integers."""
    away = np.abs(differences)
    inside: NDArray[np.float64] = (np.tanh((away + 0.5) / (2 * scale)) - np.tanh((away - 0.5) / (2 * scale))) / 2
    return inside


def ideal_bits(counts: Counts, tables: NDArray[np.int32]) -> float:
    """What all counted symbols take by these tables."""
    with np.errstate(divide="ignore"):
        costs = BITS - np.log2(tables)
    escapes = costs[:, -1:] + np.log2(N_SYMBOLS)
    costs = np.where(tables[:, :-1] > 0, costs[:, :-1], escapes)
    seen = counts > 0
    return float((counts[seen] * costs[seen]).sum())
