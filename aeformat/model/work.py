"""What a network costs whoever proves it, known from its manifest alone (spec/container.md, C13-1; M7-1).

Owns the work of rows and of a golden set.  The memory that it takes is memory.py's business.  Runs nothing.
"""

from __future__ import annotations

from typing import Final

from aeformat.container.limits import MEMORY_BYTES_A_BYTE, Limits
from aeformat.errors import LimitExceeded
from aeformat.model.manifest import Manifest
from aeformat.model.memory import first_pass, n_channels, spread_kernel, windows
from aeformat.model.values import FLOAT32

LAYER: Final = 10_000  # units of calling a layer, however few the rows
MADE: Final = 8  # of a number that a layer makes; a multiply-add is 1
FLOAT_SUM: Final = 16  # of a multiply-add in profile float32, which is cut into slices and parts
FLOAT_MADE: Final = 32
POOLED: Final = 5  # of a number that a pool looks at
POOL_STEP: Final = 4_096  # of each row and column of its window
CHANNEL: Final = 2_048  # of a channel whose bound is proved
_POOLS: Final = ("max_pool", "average_pool")


def row_work(manifest: Manifest) -> int:
    """The units of one row; of a network with free sizes: what Manifest.at gives for them."""
    made = FLOAT_MADE if manifest.profile == FLOAT32 else MADE
    layers = range(len(manifest.layers))
    return sum(_of_layer(manifest, number) for number in layers) + made * manifest.n_made


def call_work(manifest: Manifest) -> int:
    """The units of calling all layers once, for however many rows."""
    return LAYER * len(manifest.layers)


def _of_layer(manifest: Manifest, number: int) -> int:
    layer = manifest.layers[number]
    if layer.kind in _POOLS:
        size = layer.params["size"]
        assert isinstance(size, tuple)
        looked_at = manifest.multiply_adds_of(number) + size[0] * first_pass(manifest, number)
        return POOLED * looked_at + POOL_STEP * sum(size)
    n = manifest.multiply_adds_of(number)
    if layer.kind == "conv2d_transpose":
        n = windows(manifest, number) * spread_kernel(manifest, number)
    return (FLOAT_SUM if manifest.profile == FLOAT32 else 1) * n


def golden_work(manifest: Manifest) -> int:
    """The units of the golden set, and of the proofs of section 4."""
    proofs = CHANNEL * n_channels(manifest)
    for golden in manifest.golden:
        n_rows, *shape = manifest.tensors[golden.input].shape
        network = manifest if manifest.scale is None else manifest.at(manifest.latent_of(tuple(shape)))
        proofs += n_rows * (row_work(network) + call_work(network))
    return proofs


def check_memory(n_bytes: int, limits: Limits, *, file_bytes: int, at: int, what: str) -> None:
    """That this much may be taken for a file of this size.  Raises LimitExceeded (C13-1)."""
    allowed = limits.memory_bytes + MEMORY_BYTES_A_BYTE * file_bytes
    if n_bytes > allowed:
        raise LimitExceeded("C13-1", at, f"{what} takes {n_bytes} bytes of memory, allowed are {allowed} for this file")
