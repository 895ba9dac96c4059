"""Fitting a prior to the latents of a training set (spec/model.md, section 10).

First a mixture of classes in floats (expectation-maximisation, positions independent within a class), then its K x D
distributions are squeezed into a few shared tables with shifts, by Lloyd's iterations in code length, and last classes and
tables are fitted to each other with the very integers that will code the latents.  Pure NumPy.  A seed gives the same prior
again on one machine; another NumPy may round otherwise, which harms nobody: the prior travels in the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.container.prior import MAX_BITS, Prior, symbol_costs

Floats = NDArray[np.float32]

_SEED_ROUNDS: Final = 6  # of k-means, to begin with
_SOFT_ROUNDS: Final = 6
_HARD_ROUNDS: Final = 12
_TABLE_ROUNDS: Final = 12
_LAST_ROUNDS: Final = 6
_PULL: Final = 6.0  # rows' worth of the whole set's histogram that each class is given: small classes are not believed
_REACH: Final = 6  # shifts tried either side of where medians meet
_BLOCK_ROWS: Final = 2_048
_BLOCK_COSTS: Final = 1 << 24


def fit_prior(
    latents: NDArray[Any], lo: int, hi: int, *, n_classes: int, n_tables: int, bits: int = MAX_BITS, seed: int = 0
) -> Prior:
    """A prior under which latents like these take few bits.

    latents: (n, *dims) integers from lo to hi, at least n_classes rows.  Classes that no row chooses are left out, and
    tables that nothing picks, so the prior may have fewer of both.  bits: 8 to 16.  Raises ValueError (a latent out of
    range, too few rows).
    """
    data = _Data.of(latents, lo, hi)
    classes = _hard_rounds(data, _soft_rounds(data, _seeds(data, n_classes, seed), n_classes), n_classes)
    tables = _Tables(n_tables, data, bits)
    prior = tables.squeeze(classes, _TABLE_ROUNDS)
    for _ in range(_LAST_ROUNDS):
        classes, _ = prior.choose(latents)
        prior = tables.squeeze(classes, 2)
    return prior


@dataclass(frozen=True, slots=True)
class _Data:
    """symbols: (n, D), 0 to n_symbols - 1.  histogram: (D, n_symbols), of each position over all rows, summing to 1."""

    symbols: NDArray[np.intp]
    histogram: Floats
    n_symbols: int
    lo: int
    dims: tuple[int, ...]

    @classmethod
    def of(cls, latents: NDArray[Any], lo: int, hi: int) -> _Data:
        if not len(latents) or latents.min() < lo or latents.max() > hi:
            raise ValueError(f"latents are not one or more rows of integers from {lo} to {hi}")
        symbols = (latents.reshape(len(latents), -1).astype(np.int64) - lo).astype(np.intp)
        n = hi - lo + 1
        histogram = np.stack([np.bincount(column, minlength=n) for column in symbols.T]) / len(symbols)
        return cls(symbols, histogram.astype(np.float32), n, lo, latents.shape[1:])

    @property
    def n_values(self) -> int:
        """D."""
        return int(self.symbols.shape[1])

    def counts(self, classes: NDArray[np.intp], n_classes: int) -> Floats:
        """(D, n_symbols, K): how often each symbol stands at each position of the rows of each class."""
        size = self.n_symbols * n_classes
        flat = [np.bincount(column * n_classes + classes, minlength=size) for column in self.symbols.T]
        return np.stack(flat).reshape(self.n_values, self.n_symbols, n_classes).astype(np.float32)


def _seeds(data: _Data, n_classes: int, seed: int) -> NDArray[np.intp]:
    """(n,): a class for each row, by k-means over the latents scaled to like spread."""
    rng = np.random.default_rng(seed)
    x = data.symbols.astype(np.float32)
    x = (x - x.mean(axis=0)) / np.sqrt(x.std(axis=0) + 0.5)
    if len(x) < n_classes:
        raise ValueError(f"{len(x)} rows for {n_classes} classes")
    centres = x[np.sort(rng.choice(len(x), n_classes, replace=False))]
    classes = np.empty(len(x), np.intp)
    for _ in range(_SEED_ROUNDS):
        norms = (centres * centres).sum(axis=1)
        for start in range(0, len(x), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            classes[block] = (norms - 2 * (x[block] @ centres.T)).argmin(axis=1)
        order = np.argsort(classes, kind="stable")
        found, first = np.unique(classes[order], return_index=True)
        n_rows = np.diff(np.append(first, len(x)))
        centres[found] = np.add.reduceat(x[order], first, axis=0) / n_rows[:, None]
    return classes


def _scores(data: _Data, counts: Floats, n_rows: Floats) -> tuple[Floats, Floats]:
    """Logarithms of the probabilities that counts stand for: (D, n_symbols, K) of symbols, (K,) of classes."""
    pulled = counts + _PULL * data.histogram[:, :, None] + np.float32(1e-4)
    return np.log(pulled / pulled.sum(axis=1, keepdims=True)), np.log((n_rows + 0.5) / (n_rows + 0.5).sum())


def _blocks(data: _Data, scores: tuple[Floats, Floats]) -> Iterator[tuple[slice, Floats]]:
    """(rows, log-likelihoods (rows, K)), block by block."""
    symbols, classes = scores
    for start in range(0, len(data.symbols), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        total = np.tile(classes, (len(data.symbols[rows]), 1))
        for position in range(data.n_values):
            total += symbols[position][data.symbols[rows, position]]
        yield rows, total


def _soft_rounds(data: _Data, classes: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """Expectation-maximisation; each row's likeliest class at its end."""
    order = [np.argsort(column, kind="stable") for column in data.symbols.T]
    found = [np.unique(column) for column in data.symbols.T]
    first = [np.searchsorted(column[o], f) for column, o, f in zip(data.symbols.T, order, found, strict=True)]
    counts = data.counts(classes, n_classes)
    n_rows = np.bincount(classes, minlength=n_classes).astype(np.float32)
    share = np.empty((len(data.symbols), n_classes), np.float32)
    for _ in range(_SOFT_ROUNDS):
        for rows, total in _blocks(data, _scores(data, counts, n_rows)):
            total -= total.max(axis=1, keepdims=True)
            np.exp(total, out=total)
            share[rows] = total / total.sum(axis=1, keepdims=True)
        n_rows = share.sum(axis=0)
        for position in range(data.n_values):
            counts[position] = 0
            counts[position, found[position]] = np.add.reduceat(share[order[position]], first[position], axis=0)
    likeliest: NDArray[np.intp] = share.argmax(axis=1)
    return likeliest


def _hard_rounds(data: _Data, classes: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """The same with each row in one class, as it will be coded."""
    for _ in range(_HARD_ROUNDS):
        n_rows = np.bincount(classes, minlength=n_classes).astype(np.float32)
        scores = _scores(data, data.counts(classes, n_classes), n_rows)
        classes = np.concatenate([total.argmax(axis=1) for _, total in _blocks(data, scores)])
    return classes


@dataclass(slots=True)
class _Tables:
    """The shared tables while they are fitted.  tables: (t, n_symbols) frequencies, or None before the first round."""

    n_tables: int
    data: _Data
    bits: int
    tables: NDArray[np.int32] | None = field(default=None)

    def squeeze(self, classes: NDArray[np.intp], n_rounds: int) -> Prior:
        """The prior for rows in these classes, after n_rounds of fitting shifts and tables to each other."""
        data = self.data
        found, compact = np.unique(classes, return_inverse=True)
        n_classes = len(found)
        counts = data.counts(compact.reshape(-1), n_classes)
        counts += _PULL * data.histogram[:, :, None]
        wanted = np.ascontiguousarray(counts.transpose(2, 0, 1)).reshape(n_classes * data.n_values, data.n_symbols)
        centre = _medians(wanted)
        aligned = _rolled(wanted, centre - data.n_symbols // 2)
        if self.tables is None:
            self.tables = self._first(aligned)
        for _ in range(n_rounds):
            picks, shifts, costs = self._assign(aligned)
            self.tables = self._estimate(aligned, picks, shifts, costs)
        picks, shifts, _ = self._assign(aligned)
        used, compact_picks = np.unique(picks, return_inverse=True)
        means = (centre - data.n_symbols // 2 + shifts) % data.n_symbols
        return Prior(
            bits=self.bits,
            lo=data.lo,
            hi=data.lo + data.n_symbols - 1,
            classes=frequencies(np.bincount(compact.reshape(-1))[None], self.bits)[0],
            tables=self.tables[used],
            means=means.reshape(n_classes, *data.dims).astype(np.uint8),
            picks=compact_picks.reshape(n_classes, *data.dims).astype(np.uint8),
        )

    def _first(self, aligned: Floats) -> NDArray[np.int32]:
        """Tables of distributions of like entropy."""
        p = aligned / aligned.sum(axis=1, keepdims=True)
        entropy = -(p * np.log2(np.maximum(p, 1e-9))).sum(axis=1)
        groups = np.array_split(np.argsort(entropy, kind="stable"), min(self.n_tables, len(aligned)))
        return frequencies(np.stack([aligned[group].sum(axis=0) for group in groups]), self.bits)

    def _assign(self, aligned: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """For each distribution the table and the shift under which it takes the fewest bits, and those bits."""
        assert self.tables is not None
        n = self.data.n_symbols
        shifts = np.arange(-min(_REACH, (n - 1) // 2), min(_REACH, (n - 1) // 2) + 1)
        bits = symbol_costs(self.tables, self.bits).astype(np.float32) / np.float32(1 << 16)
        symbols = (np.arange(n)[:, None] - shifts) % n  # (n, shifts)
        candidates = bits[:, symbols].transpose(1, 0, 2).reshape(n, -1)  # (n, t * shifts)
        best = np.empty(len(aligned), np.intp)
        costs = np.empty(len(aligned), np.float32)
        step = max(1, _BLOCK_COSTS // candidates.shape[1])
        for start in range(0, len(aligned), step):
            total = aligned[start : start + step] @ candidates
            best[start : start + step] = total.argmin(axis=1)
            costs[start : start + step] = total.min(axis=1)
        return best // len(shifts), shifts[best % len(shifts)], costs

    def _estimate(
        self, aligned: Floats, picks: NDArray[np.intp], shifts: NDArray[np.intp], costs: Floats
    ) -> NDArray[np.int32]:
        """Tables for what picked them.  One that nothing picked is given to what loses most."""
        assert self.tables is not None
        moved = _rolled(aligned, shifts)
        sums = np.zeros((len(self.tables), aligned.shape[1]), np.float64)
        order = np.argsort(picks, kind="stable")
        used, first = np.unique(picks[order], return_index=True)
        sums[used] = np.add.reduceat(moved[order].astype(np.float64), first, axis=0)
        empty = np.setdiff1d(np.arange(len(self.tables)), used)
        if len(empty):
            n_rows = aligned.sum(axis=1, keepdims=True)
            own = -(aligned * np.log2(np.maximum(aligned / n_rows, 1e-9))).sum(axis=1)
            sums[empty] = aligned[np.argsort(own - costs, kind="stable")[: len(empty)]]
        return frequencies(sums, self.bits)


def _medians(counts: Floats) -> NDArray[np.intp]:
    """(m, n) -> (m,): the symbol at which half of the count is reached."""
    sums = counts.cumsum(axis=1)
    medians: NDArray[np.intp] = (sums >= sums[:, -1:] / 2).argmax(axis=1)
    return medians


def _rolled(counts: Floats, shifts: NDArray[np.intp]) -> Floats:
    """Each row turned left by its shift."""
    n = counts.shape[1]
    return np.take_along_axis(counts, (np.arange(n) + shifts[:, None]) % n, axis=1)


def frequencies(counts: NDArray[Any], bits: int) -> NDArray[np.int32]:
    """(m, n) counts, not all 0 in a row -> integers of at least 1 that sum to 2^bits in each row and are near in proportion.

    n is at most 2^bits.
    """
    whole = 1 << bits
    shares = counts / counts.sum(axis=1, keepdims=True, dtype=np.float64)
    made: NDArray[np.int32] = np.maximum(1, np.rint(shares * whole)).astype(np.int32)
    for row in made:
        while (short := whole - int(row.sum())) != 0:
            largest = np.argsort(-row, kind="stable")[: abs(short)]
            largest = largest[row[largest] > 1] if short < 0 else largest
            row[largest] += np.sign(short)
    return made
