"""Priors to test with, and decoders that have them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeformat.container.prior import Prior
from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.training.prior_fit import frequencies


def random_prior(
    seed: int, *, dims: tuple[int, ...] = (5,), lo: int = -6, hi: int = 9, bits: int = 12, n_classes: int = 7,
    n_tables: int = 4, peak: float = 2.0,
) -> Prior:  # fmt: skip
    """Any prior.  peak: how uneven its tables are; 0 for flat ones."""
    rng = np.random.default_rng(seed)
    n = hi - lo + 1
    return Prior(
        bits=bits,
        lo=lo,
        hi=hi,
        classes=frequencies(rng.exponential(1, (1, n_classes)) ** 2 + 1e-9, bits)[0],
        tables=frequencies(np.exp(rng.normal(0, peak, (n_tables, n))), bits),
        means=rng.integers(0, n, (n_classes, *dims), dtype=np.uint8),
        picks=rng.integers(0, n_tables, (n_classes, *dims), dtype=np.uint8),
    )


def draw(prior: Prior, n_rows: int, seed: int = 0) -> NDArray[np.int16]:
    """(n_rows, *dims) latents as the prior expects them."""
    rng = np.random.default_rng(seed)
    k = rng.choice(prior.n_classes, n_rows, p=prior.classes / prior.classes.sum())
    sums = prior.tables.cumsum(axis=1)
    slots = rng.integers(0, 1 << prior.bits, (n_rows, *prior.dims))
    symbols = (slots[..., None] >= sums[prior.picks[k]]).sum(axis=-1)
    return (prior.lo + (symbols + prior.means[k]) % prior.n_symbols).astype(np.int16)


def decoder_of(prior: Prior | None, *, lo: int, hi: int, dims: tuple[int, ...]) -> ModelPackage:
    """A small exact decoder of 2 x 2 pixels that takes such latents."""
    rng = np.random.default_rng(0)
    n = int(np.prod(dims))
    kind = "u8" if lo >= 0 else "i8"
    whole = (0, 255) if kind == "u8" else (-128, 127)
    takes = Endpoint(dims, kind, None if (lo, hi) == whole else (lo, hi))
    builder = PackageBuilder(role="decoder", profile="exact", input=takes, output=Endpoint((2, 2, 1), "u8"))
    if len(dims) > 1:
        builder.layer("flatten")
    weights = builder.tensor(rng.integers(-9, 10, (n, 4), dtype=np.int8))
    builder.layer("dense", weights=weights, bias=builder.tensor(np.zeros(4, np.int32)))
    table = builder.tensor(np.arange(256, dtype=np.uint8))
    builder.layer("lookup", multiplier=builder.tensor(np.ones(1, np.int32)), shift=2, table=table)
    builder.layer("reshape", shape=(2, 2, 1))
    if prior is not None:
        builder.prior(prior)
    golden = np.full((1, *dims), lo, np.uint8 if kind == "u8" else np.int8)
    from aeformat.backends.numpy_backend import NumpyBackend

    return builder.build(golden_input=golden, golden_output=lambda draft: NumpyBackend().load(draft).run(golden))
