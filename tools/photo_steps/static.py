"""Two codes without networks, as rivals of the passes: a table a channel, and classes of positions.

Owns their fit to latents of training photographs and the ideal bits of others.  What was never seen gets a part of a count, so that
it can be coded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Latents = NDArray[np.int8]  # (h, w, channels)
_SYMBOLS: Final = 256
_UNSEEN: Final = 0.02  # of a count
N_CLASSES: Final = 8
_ROUNDS: Final = 6


class PositionClasses:
    """Each position is of one class, which is coded first; each class has a table for each channel.  One class: a static prior."""

    def __init__(self, latents: Sequence[Latents], n_classes: int = N_CLASSES) -> None:
        """Fit by turns: tables to the positions of a class, then each position to the class that takes the fewest bits."""
        rows = _positions(latents)
        energy = np.log1p(np.abs(rows.astype(np.float32))).sum(axis=1)
        limits = np.quantile(energy, np.arange(1, n_classes) / n_classes)
        classes = np.searchsorted(limits, energy, side="right")
        for _ in range(_ROUNDS if n_classes > 1 else 1):
            self._fit(rows, classes, n_classes)
            classes = self._costs(rows).argmin(axis=1)

    def _fit(self, rows: NDArray[np.uint8], classes: NDArray[np.intp], n_classes: int) -> None:
        n_channels = rows.shape[1]
        tables = np.empty((n_classes, n_channels, _SYMBOLS), np.float32)
        for number in range(n_classes):
            mine = rows[classes == number].astype(np.intp) + _SYMBOLS * np.arange(n_channels)
            counts = np.bincount(mine.ravel(), minlength=n_channels * _SYMBOLS).reshape(n_channels, _SYMBOLS) + _UNSEEN
            tables[number] = np.log2(counts.sum(axis=1, keepdims=True)) - np.log2(counts)
        shares = np.bincount(classes, minlength=n_classes) + _UNSEEN
        self._tables = tables
        self._class_bits = np.log2(shares.sum()) - np.log2(shares)

    def _costs(self, rows: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(positions, classes): ideal bits."""
        channels = np.arange(rows.shape[1])
        costs = [table[channels, rows].sum(axis=1, dtype=np.float64) for table in self._tables]
        made: NDArray[np.float64] = np.stack(costs, axis=1) + self._class_bits
        return made

    def bits(self, latents: Latents) -> float:
        """What the latents of one photograph take."""
        return float(self._costs(_positions([latents])).min(axis=1).sum())


def _positions(latents: Sequence[Latents]) -> NDArray[np.uint8]:
    """(positions, channels), as bytes: what indexes a table."""
    return np.concatenate([one.reshape(-1, one.shape[2]) for one in latents]).view(np.uint8)
