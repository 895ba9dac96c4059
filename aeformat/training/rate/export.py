"""From a trained pair of stacks to two model packages: NAME.encoder.aef and NAME.decoder.aef.

Owns which layers a package gets, its prior, and its golden set, computed here in int64, apart from every backend.  Knows
nothing of how pairs are trained, or of the bytes of a package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.select import select_backend
from aeformat.errors import UsageError
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import write_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.training.export import N_GOLDEN_ROWS, check_targets, package_paths
from aeformat.training.prior_fit import fit_prior
from aeformat.training.quantise import gelu
from aeformat.training.rate.loop import Images, TrainedStacks
from aeformat.training.rate.quantise import (
    ExactStack,
    drop_constants,
    evaluate,
    geometry,
    linear,
    quantise_decoder,
    quantise_encoder,
)
from aeformat.training.rate.stack import Activation, Layer, Parameters, Reshape, Shape, Stack, shapes

PRIOR_BITS: Final = 15
_WIDEST: Final = (-128, 127)


class Reporter(Protocol):
    """Told what is being done."""

    def __call__(self, what: str) -> None: ...


def export_stacks(
    pair: TrainedStacks, train_images: Images, golden: Images, out_dir: Path, *, force: bool, report: Reporter
) -> tuple[Path, Path]:
    """Write the encoder's and the decoder's package into `out_dir`; their paths.

    train_images: (n, h, w, c) u8, to whose latents the prior is fitted.  golden: likewise; the first 16 travel with the
    package, so they must be images that may be published.  Raises UsageError where a file exists (without `force`), or where
    the pair has no exact form.
    """
    check_targets(pair.recipe, out_dir, force=force)
    paths = package_paths(pair.recipe.name, out_dir)
    build = build_exact if pair.recipe.price else build_float32
    for package, path in zip(build(pair, train_images, golden[:N_GOLDEN_ROWS], report), paths, strict=True):
        write_package(package, path, force=force)
    return paths


def build_exact(
    pair: TrainedStacks, train_images: Images, golden: Images, report: Reporter
) -> tuple[ModelPackage, ModelPackage]:
    """The two packages of profile exact, without latents that never change, the decoder with a prior.  Raises UsageError."""
    recipe = pair.recipe
    report(f"encoding {len(train_images):,} images for the prior")
    whole = quantise_encoder(recipe.encoder, pair.encoder, recipe.shape, _WIDEST)
    draft = _encoder_package(whole, golden, (recipe.latent_dims,), _WIDEST, bytes(32), None)
    latents = select_backend("auto", n_rows=len(train_images), package=draft).load(draft).run(train_images)
    stack, decoder_stack, encoder, decoder, kept = drop_constants(
        recipe.encoder, recipe.decoder, (pair.encoder, pair.decoder), latents
    )
    latents = np.ascontiguousarray(latents[:, kept])
    span = int(latents.min()), int(latents.max())
    report(f"fitting the prior: {len(kept)} latents from {span[0]} to {span[1]}")
    n_classes, n_tables = recipe.prior
    prior = fit_prior(latents, *span, n_classes=n_classes, n_tables=n_tables, bits=PRIOR_BITS, seed=recipe.seed)

    exact_decoder = quantise_decoder(decoder_stack, decoder, len(kept))
    exact_encoder = quantise_encoder(stack, encoder, recipe.shape, span)
    golden_latents = evaluate(exact_encoder, golden)
    builder = PackageBuilder(
        role="decoder", profile="exact", input=_latents_end((len(kept),), span), output=Endpoint(recipe.shape, "u8")
    )
    builder.prior(prior)
    _add(builder, exact_decoder)
    second = builder.build(
        golden_input=golden_latents, golden_output=evaluate(exact_decoder, golden_latents), name=recipe.name
    )
    first = _encoder_package(exact_encoder, golden, (len(kept),), span, second.model_id, recipe.name)
    return first, second


def _latents_end(shape: tuple[int, ...], span: tuple[int, int]) -> Endpoint:
    return Endpoint(shape, "i8", None if span == _WIDEST else span)


def _encoder_package(
    stack: ExactStack, golden: Images, dims: tuple[int, ...], span: tuple[int, int], decoder: bytes, name: str | None
) -> ModelPackage:
    builder = PackageBuilder(
        role="encoder", profile="exact", input=Endpoint(golden.shape[1:], "u8"), output=_latents_end(dims, span),
        decoder=decoder,
    )  # fmt: skip
    _add(builder, stack)
    return builder.build(golden_input=golden, golden_output=evaluate(stack, golden), name=name)


def _add(builder: PackageBuilder, stack: ExactStack) -> None:
    for step in stack:
        if step.weights is None:
            builder.layer("reshape", shape=step.shape)
            continue
        assert step.bias is not None and step.multiplier is not None and step.table is not None
        params: dict[str, Any] = {"weights": builder.tensor(step.weights), "bias": builder.tensor(step.bias)}
        if step.kind != "dense":
            params["strides"] = step.strides
            params["padding" if step.kind == "conv2d" else "crop"] = step.margins
        builder.layer(step.kind, **params)
        builder.layer(
            "lookup", multiplier=builder.tensor(step.multiplier), shift=step.shift, table=builder.tensor(step.table)
        )


def build_float32(
    pair: TrainedStacks, _train_images: Images, golden: Images, _report: Reporter
) -> tuple[ModelPackage, ModelPackage]:
    """The two packages of profile float32, weights and biases stored as float16.  Raises UsageError."""
    recipe = pair.recipe
    dims = (recipe.latent_dims,)
    latents = _float_values(recipe.encoder, pair.encoder, golden.astype(np.float64) / 255).astype(np.float32)
    outputs = _float_values(recipe.decoder, pair.decoder, latents.astype(np.float64))
    pixels = np.floor(255 * outputs + 0.5).astype(np.uint8)

    builder = PackageBuilder(
        role="decoder", profile="float32", input=Endpoint(dims, "f32"), output=Endpoint(recipe.shape, "u8")
    )
    _add_float(builder, recipe.decoder, pair.decoder, dims)
    builder.layer("to_u8")
    second = builder.build(golden_input=latents, golden_output=pixels, name=recipe.name)

    builder = PackageBuilder(
        role="encoder", profile="float32", input=Endpoint(recipe.shape, "u8"), output=Endpoint(dims, "f32"),
        decoder=second.model_id,
    )  # fmt: skip
    builder.layer("scale", num=1, den=255)
    _add_float(builder, recipe.encoder, pair.encoder, recipe.shape)
    return builder.build(golden_input=golden, golden_output=latents, name=recipe.name), second


_FLOAT_KINDS: Final[dict[Activation, str | None]] = {"gelu": "gelu", "sigmoid": "sigmoid", "linear": None}


def _add_float(builder: PackageBuilder, stack: Stack, parameters: list[Parameters], shape: Shape) -> None:
    left = iter(parameters)
    for layer, before, after in _walk(stack, shape):
        if isinstance(layer, Reshape):
            builder.layer("reshape", shape=after)
            continue
        mine = next(left)
        kind, strides, sides = geometry(layer, before, after)
        params: dict[str, Any] = {
            "weights": builder.tensor(mine.weights.astype(np.float16)),
            "bias": builder.tensor(mine.bias.astype(np.float16)),
        }
        if kind != "dense":
            params["strides"] = strides
            params["padding" if kind == "conv2d" else "crop"] = sides
        builder.layer(kind, **params)
        if layer.activation not in _FLOAT_KINDS:
            raise UsageError(f"profile float32 has no layer like {layer.activation!r}")
        if (function := _FLOAT_KINDS[layer.activation]) is not None:
            builder.layer(function)


def _float_values(stack: Stack, parameters: list[Parameters], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, ...) -> (n, ...) in float64 on the weights as stored: what section 5 of the spec measures float32 against."""
    left = iter(parameters)
    for layer, before, after in _walk(stack, values.shape[1:]):
        if isinstance(layer, Reshape):
            values = values.reshape(len(values), *after)
            continue
        mine = next(left)
        kind, strides, sides = geometry(layer, before, after)
        values = linear(kind, values, mine.weights.astype(np.float16).astype(np.float64), strides, sides)
        values = values + mine.bias.astype(np.float16)
        if layer.activation == "gelu":
            values = gelu(values.reshape(-1)).reshape(values.shape)
        elif layer.activation == "sigmoid":
            values = 1 / (1 + np.exp(-values))
    return values


def _walk(stack: Stack, shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer with the shape before and after it."""
    found = shapes(stack, shape)
    return zip(stack, found, found[1:], strict=False)
