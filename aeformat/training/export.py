"""From a trained pair to two model packages: NAME.encoder.aef and NAME.decoder.aef.

Owns which layers a package gets, and its prior.  Knows nothing of how pairs are trained, or of the bytes of a package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from aeformat.atomic import check_target
from aeformat.backends.select import select_backend
from aeformat.errors import UsageError
from aeformat.model.file_io import write_package
from aeformat.model.graph import Graph
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.pair import Pair, build_pair, draft_encoder
from aeformat.model.reference import value_of
from aeformat.model.values import DTYPES, Value
from aeformat.training.prior_fit import fit_prior
from aeformat.training.quantise import (
    ExactStep,
    drop_constants,
    exact_graph,
    quantise_decoder,
    quantise_encoder,
    quantise_pair,
)
from aeformat.training.recipe import ConvRecipe, DenseRecipe
from aeformat.training.reporting import Planned
from aeformat.training.stack import Activation, Parameters, Reshape, Stack, registry_form, walk
from aeformat.training.trained import Images, TrainedPair

N_GOLDEN_ROWS: Final = 16
PRIOR_BITS: Final = 15
_WIDEST: Final = (-128, 127)
_TOP: Final = 255


class Reporter(Protocol):
    """Told what is being done."""

    def __call__(self, what: str) -> None: ...


def check_targets(recipe: Planned, out_dir: Path, *, force: bool) -> None:
    """Refuse early, before hours of training, what an export would refuse at the end.  Raises UsageError."""
    for path in package_paths(recipe.name, out_dir):
        check_target(path, force=force)


def package_paths(name: str, out_dir: Path) -> tuple[Path, Path]:
    """Where the two packages of a pair go."""
    return out_dir / f"{name}.encoder.aef", out_dir / f"{name}.decoder.aef"


def export_pair(
    pair: TrainedPair, train_images: Images, golden: Images, out_dir: Path, *, force: bool, report: Reporter
) -> tuple[Path, Path]:
    """Write the encoder's and the decoder's package into `out_dir`; their paths.

    train_images: (n, h, w, c) u8, to whose latents a prior is fitted.  golden: likewise; the first 16 travel with the
    package, so they must be images that may be published, not a data set's.  Raises UsageError where a file exists (without
    `force`), or where the pair has no exact form.
    """
    check_targets(pair.recipe, out_dir, force=force)
    paths = package_paths(pair.recipe.name, out_dir)
    for package, path in zip(packages_of(pair, train_images, golden, report), paths, strict=True):
        write_package(package, path, force=force)
    return paths


def packages_of(pair: TrainedPair, train_images: Images, golden: Images, report: Reporter) -> Pair:
    """The encoder's and the decoder's package, in memory; see `export_pair`.  Raises UsageError."""
    golden = golden[:N_GOLDEN_ROWS]
    if pair.recipe.profile == "float32":
        return _float32(pair, golden)
    if isinstance(pair.recipe, DenseRecipe):
        return _exact_dense(pair.recipe, pair, golden)
    return _exact_conv(pair.recipe, pair, train_images, golden, report)


def _exact_dense(recipe: DenseRecipe, pair: TrainedPair, golden: Images) -> Pair:
    image, latents = Value(golden.shape[1:], "u8"), Endpoint((recipe.latent_dims,), "u8")
    first, second = quantise_pair(recipe, pair.encoder, pair.decoder)
    encoder = exact_graph(image, first)
    decoder = exact_graph(latents.value, (*second, ExactStep("reshape", image.shape)))
    return build_pair(encoder, decoder, golden, latents=latents, name=recipe.name)


def _exact_conv(recipe: ConvRecipe, pair: TrainedPair, train_images: Images, golden: Images, report: Reporter) -> Pair:
    """Without latents that never change, the decoder with a prior."""
    report(f"encoding {len(train_images):,} images for the prior")
    image = Value(recipe.shape, "u8")
    whole = exact_graph(image, quantise_encoder(recipe.encoder, pair.encoder, recipe.shape, _WIDEST))
    draft = draft_encoder(whole, golden, _latents_end(recipe.latent_dims, _WIDEST))
    latents = select_backend("auto", n_rows=len(train_images), package=draft).load(draft).run(train_images)
    encoder, decoder, of_encoder, of_decoder, kept = drop_constants(
        recipe.encoder, recipe.decoder, (pair.encoder, pair.decoder), latents
    )
    latents = np.ascontiguousarray(latents[:, kept])
    span = int(latents.min()), int(latents.max())
    report(f"fitting the prior: {len(kept)} latents from {span[0]} to {span[1]}")
    n_classes, n_tables = recipe.prior
    prior = fit_prior(latents, *span, n_classes=n_classes, n_tables=n_tables, bits=PRIOR_BITS, seed=recipe.seed)

    end = _latents_end(len(kept), span)
    second = quantise_decoder(decoder, of_decoder, len(kept))
    first = quantise_encoder(encoder, of_encoder, recipe.shape, span)
    return build_pair(
        exact_graph(image, first), exact_graph(end.value, second), golden, latents=end, name=recipe.name, prior=prior
    )


def _latents_end(dims: int, span: tuple[int, int]) -> Endpoint:
    return Endpoint((dims,), "i8", None if span == _WIDEST else span)


def _float32(pair: TrainedPair, golden: Images) -> Pair:
    """Profile float32.  Weights and biases of convolutional recipes are stored as float16."""
    recipe, image = pair.recipe, golden.shape[1:]
    latents = Endpoint((recipe.latent_dims,), "f32")
    encoder, decoder = Graph(Value(image, "u8")), Graph(latents.value)
    if isinstance(recipe, DenseRecipe):
        encoder.add("flatten")
    encoder.add("scale", num=1, den=_TOP)
    _add_float(encoder, recipe.encoder, pair.encoder, recipe)
    _add_float(decoder, recipe.decoder, pair.decoder, recipe)
    if isinstance(recipe, DenseRecipe):
        decoder.add("reshape", shape=image)
    decoder.add("to_u8")
    return build_pair(encoder, decoder, golden, latents=latents, name=recipe.name, run=_float_values)


_DENSE_KINDS: Final[dict[Activation, str | None]] = {"sigmoid": "sigmoid"}  # the others keep within a range in training
_CONV_KINDS: Final[dict[Activation, str | None]] = {"gelu": "gelu", "sigmoid": "sigmoid", "linear": None}


def _add_float(graph: Graph, stack: Stack, parameters: Sequence[Parameters], recipe: DenseRecipe | ConvRecipe) -> None:
    is_dense = isinstance(recipe, DenseRecipe)
    kinds, dtype = (_DENSE_KINDS, np.float32) if is_dense else (_CONV_KINDS, np.float16)
    for layer, before, after, mine in walk(stack, parameters, graph.shape(graph.last)):
        if isinstance(layer, Reshape):
            graph.add("reshape", shape=after)
            continue
        if layer.activation not in kinds:
            raise UsageError(f"profile float32 has no layer like {layer.activation!r} of this recipe")
        kind, params = registry_form(layer, before, after)
        graph.add(kind, weights=mine.weights.astype(dtype), bias=mine.bias.astype(dtype), **params)
        if (function := kinds[layer.activation]) is not None:
            graph.add(function)


def _float_values(package: ModelPackage, rows: NDArray[Any]) -> NDArray[Any]:
    """(n, *input.shape) -> (n, *output.shape): the reference, but for pixels / 255, which `scale` would round to float32.

    Golden latents of the shipped float32 packages were made so, and a recipe must give its package again to the bit.  Both are
    far within the tolerance of M5-2.
    """
    values = rows.astype(np.float64)
    for step in package.plan:
        values = values / _TOP if step.kind == "scale" else value_of(step, [values])
    return values.astype(np.dtype(DTYPES[package.output.type]).newbyteorder("="))
