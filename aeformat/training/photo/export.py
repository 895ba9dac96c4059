"""From the weights of a trained photograph model to its two packages: NAME.encoder.aef and NAME.decoder.aef.

Owns the order, and what the tables of the prior are fitted to.  Knows nothing of TensorFlow.

Tables come last: they are fitted to what the integer networks make of training photographs.  So a draft of the decoder, whose
tables say nothing, tells the means and the picks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_passes import NumpyPasses
from aeformat.container.passes import PHASES, phase_sizes
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import write_package
from aeformat.model.layers import Layer
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.pair import Pair, build_pair, draft_encoder
from aeformat.model.parts import PassesSpec
from aeformat.training.export import Reporter, check_targets, package_paths
from aeformat.training.photo import tables
from aeformat.training.photo.crops import Photo
from aeformat.training.photo.encoder_integers import encoder_graph
from aeformat.training.photo.integers import decoder_graph
from aeformat.training.photo.loop import TrainedPhoto
from aeformat.training.photo.passes import N_TABLES, Passes, passes_of
from aeformat.training.photo.recipe import PhotoRecipe

N_COUNTED: Final = 128  # photographs that tables are fitted to

Weights = dict[str, NDArray[Any]]
Latents = NDArray[np.int8]  # (h, w, channels)


def export_pair(
    trained: TrainedPhoto,
    photos: Sequence[Photo],
    golden: Sequence[Photo],
    out_dir: Path,
    *,
    force: bool,
    report: Reporter,
) -> tuple[Path, Path]:
    """Write the encoder's and the decoder's package into `out_dir`; their paths.  See `packages_of`.

    Raises UsageError where a file exists, without `force`.
    """
    check_targets(trained.recipe, out_dir, force=force)
    paths = package_paths(trained.recipe.name, out_dir)
    pair = packages_of(trained.recipe, trained.weights, photos, golden, report)
    for package, path in zip(pair, paths, strict=True):
        write_package(package, path, force=force)
    return paths


def packages_of(
    recipe: PhotoRecipe, weights: Weights, photos: Sequence[Photo], golden: Sequence[Photo], report: Reporter
) -> Pair:
    """The encoder's and the decoder's package, in memory.

    photos: of training; the tables are fitted to at most 128 of them, evenly spaced.  golden: 2 to 8 images, each of another
    size, which travel with the packages.  Raises ManifestInvalid, LimitExceeded.
    """
    encoder, decoder = encoder_graph(weights, 1, 1), decoder_graph(recipe, weights, 1, 1)
    end, batches = Endpoint((0, 0, recipe.channels), "i8"), [photo[None] for photo in golden]
    passes, sizes = passes_of(recipe.groups, weights), tuple(group.size for group in recipe.groups)
    build = partial(build_pair, encoder, decoder, batches, latents=end, name=recipe.name)

    counted = photos[:: max(1, len(photos) // N_COUNTED)][:N_COUNTED]
    report(f"encoding {len(counted)} photographs for the prior")
    network = NumpyBackend().load(draft_encoder(encoder, batches, end))
    _, draft = build(prior=partial(give_prior, passes, sizes, _flat()))
    counts = np.zeros((N_TABLES, tables.N_SYMBOLS), np.int64)
    for photo in counted:
        counts += counts_of(draft, network.run(photo[None], photo.shape[:2])[0])
    report(f"fitting {N_TABLES} tables to {counts.sum():,} latents")
    return build(prior=partial(give_prior, passes, sizes, tables.fit(counts)))


def give_prior(passes: Passes, sizes: tuple[int, ...], fitted: NDArray[np.int32], builder: PackageBuilder) -> None:
    """A prior with these layers, for groups of these sizes, and these tables."""
    layers = tuple(
        Layer(layer.kind, layer.inputs, {**layer.params, **{k: builder.tensor(x) for k, x in layer.arrays.items()}})
        for layer in passes.layers
    )
    builder.passes(tables.BITS, fitted, PassesSpec(sizes, layers, tuple(passes.outputs)))


def counts_of(decoder: ModelPackage, latents: Latents) -> tables.Counts:
    """How often each difference comes under each table, in the latents of one photograph."""
    assert decoder.passes is not None
    network = NumpyPasses(decoder.passes)
    height, width = latents.shape[:2]
    row = network.row(height, width)
    made = np.zeros((N_TABLES, tables.N_SYMBOLS), np.int64)
    first = 0
    for size in network.spec.groups:
        group = latents[:, :, first : first + size]
        for (y, x), filled in zip(PHASES, phase_sizes(height, width), strict=True):
            if min(filled):
                means, picks = row.expect()
                values = group[y::2, x::2]
                made += tables.count(values, means, picks)
                row.put(values)
        first += size
    return made


def _flat() -> NDArray[np.int32]:
    """Tables in which every latent is as probable as any other."""
    made = np.full((N_TABLES, tables.N_SYMBOLS + 1), (1 << tables.BITS) // tables.N_SYMBOLS, np.int32)
    made[:, -1] = 0
    return made
