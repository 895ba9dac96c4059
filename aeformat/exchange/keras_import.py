"""From a Keras file to an encoder and a decoder package, float32 profile, checked against Keras itself.

Owns the order of it: load, take apart, convert, cut, fold, build, compare.  Nothing is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.runtime import keras_as_shipped
from aeformat.errors import Hint, LimitExceeded, ManifestInvalid, UsageError
from aeformat.exchange.fold import fold
from aeformat.exchange.keras_activations import NoForm
from aeformat.exchange.keras_calls import Call, Calls, input_shape
from aeformat.exchange.keras_layers import convert
from aeformat.exchange.keras_load import load_model
from aeformat.exchange.keras_modern import stand_in
from aeformat.exchange.pixels import add_pixels_in, add_pixels_out, numbers_of, pixels_of
from aeformat.exchange.samples import golden_images, patterns
from aeformat.model.golden import FLOAT_TOLERANCE, MAX_LEVELS, ROWS_PER_FLIP
from aeformat.model.graph import Graph, as_refusal, cut
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.pair import build_pair
from aeformat.model.values import Value

Images = NDArray[np.uint8]
Floats = NDArray[Any]

N_CHECKED: Final = 32  # images that Keras and the packages are compared on, fewer if they are large
MAX_NUMBERS: Final = 1 << 24  # in one image, and in all that are compared: every layer keeps what it makes of them
_MEAN: Final = re.compile(r"(?i)(?<![a-z])(mean|mu)")
_TWO_SIDES: Final = 2  # Keras and the package may each be off by the tolerance of section 5


@dataclass(frozen=True, slots=True)
class Options:
    """What to import.  image: [h, w, c] where the model's input does not say.  pixels_in, pixels_out: see pixels.RANGES."""

    path: Path
    bottleneck: str
    name: str
    image: tuple[int, int, int] | None = None
    pixels_in: str = "unit"
    pixels_out: str = "unit"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Keras against the packages.  latents: largest difference, as a share of max(1, |value|).  n_off: pixels that differ."""

    n_images: int
    latents: float
    n_pixels: int
    n_off: int
    levels: int


@dataclass(frozen=True, slots=True)
class Imported:
    """Both halves of a network, as packages and as the graphs they were made from."""

    encoder: ModelPackage
    decoder: ModelPackage
    graphs: tuple[Graph, Graph]
    comparison: Comparison
    passed_over: tuple[str, ...] = ()  # layers that draw at random around the bottleneck, the mean


def import_keras(options: Options, samples: Callable[[tuple[int, ...]], Images] | None = None) -> Imported:
    """Both halves.  samples: image shape -> (n, *shape) u8 to compare on; without it patterns that are made here.

    Runs what is in the file, as Keras does.  Raises UsageError, also where the result differs from Keras's; BackendUnavailable.
    """
    if options.image is not None:
        _check_size(options.image)
    with keras_as_shipped():
        return _imported(options, samples)


def _imported(options: Options, samples: Callable[[tuple[int, ...]], Images] | None) -> Imported:
    model = load_model(options.path)
    calls = Calls(model)
    at = calls.named(options.bottleneck)
    passed_over = _pass_over_samplers(calls, at)
    start = _start_shape(input_shape(model, str(options.path)), options)
    image = _image_shape(start, options)
    _check_size(image)
    n_checked = min(N_CHECKED, MAX_NUMBERS // prod(image))
    images = (patterns(image, n_checked) if samples is None else samples(image))[:n_checked]
    graph, numbers = _converted(calls, image, start, options)
    by_keras = calls.run(numbers_of(images, options.pixels_in).reshape(-1, *start))
    with as_refusal(str(options.path)):
        encoder, decoder = (fold(half) for half in cut(graph, numbers[at]))
        latents = Endpoint(decoder.shape(0), "f32")
        imported = build_pair(encoder, decoder, golden_images(image), latents=latents, name=options.name)
    comparison = _compare(imported, images, by_keras[at], by_keras[calls.output], options.pixels_out)
    return Imported(*imported, (encoder, decoder), comparison, passed_over)


def _pass_over_samplers(calls: Calls, mean: int) -> tuple[str, ...]:
    """A variational autoencoder draws at random around a mean; where that is the bottleneck, the decoder takes it as it is."""
    found = [i for i, call in enumerate(calls.calls) if _mean_of(calls, call) == mean]
    for i in found:
        calls.pass_over(i, mean)
    return tuple(calls.calls[i].name for i in found)


def _mean_of(calls: Calls, call: Call) -> int | None:
    """What may be the mean, where a layer with code of its own takes several values: one of such a name, else the first."""
    if stand_in(call.layer) is None or len(call.inputs) == 1:
        return None
    return next((i for i in call.inputs if _MEAN.search(calls.name_of(i))), call.inputs[0])


def _way_out(calls: Calls, call: Call) -> str:
    mean = _mean_of(calls, call)
    if mean is not None:
        return f"; if it draws at random around a mean, take the mean for the bottleneck: {calls.name_of(mean)!r}"
    if type(call.layer).__name__ == "Exp":
        return "; if this draws at random around a mean, save a Model that gives the mean to the decoder"
    return ""


def _check_size(image: tuple[int, ...]) -> None:
    if prod(image) > MAX_NUMBERS:
        raise UsageError(
            f"images of {list(image)} are too large to compare on: up to {MAX_NUMBERS:,} numbers are taken"
        )


def _start_shape(shape: tuple[int | None, ...], options: Options) -> tuple[int, ...]:
    """The model's input, with sizes for those that may be any."""
    if None not in shape:
        return tuple(size for size in shape if size is not None)
    if options.image is None or len(shape) != 3:
        raise UsageError(f"the model takes any size, {list(shape)}: say which", hint=Hint.GIVE_IMAGE_SHAPE)
    return tuple(given if size is None else size for size, given in zip(shape, options.image, strict=True))


def _image_shape(start: tuple[int, ...], options: Options) -> tuple[int, ...]:
    """[h, w, c] of what the model takes: as it is, with a channel, or as a square."""
    if options.image is not None:
        if prod(options.image) != prod(start):
            raise UsageError(f"an image of {list(options.image)} does not fit the model, which takes {list(start)}")
        return options.image
    if len(start) == 3:
        return start
    if len(start) == 2:
        return (*start, 1)
    side = isqrt(prod(start))
    if len(start) != 1 or side * side != start[0]:
        raise UsageError(f"the model takes {list(start)}: say which images these are", hint=Hint.GIVE_IMAGE_SHAPE)
    return side, side, 1


def _converted(
    calls: Calls, image: tuple[int, ...], start: tuple[int, ...], options: Options
) -> tuple[Graph, list[int]]:
    """The whole network, and for each call's value its number in the graph.

    All that has no form is reported at once, up to a layer that does not say what shape it makes.
    """
    graph = Graph(Value(image, "u8"))
    x = add_pixels_in(graph, options.pixels_in)
    numbers = [x if start == image else graph.add("reshape", x, name="the input", shape=start)]
    refused = []
    for call in calls.calls:
        inputs = [numbers[i] for i in call.inputs]
        try:
            numbers.append(convert(graph, call, inputs))
        except (NoForm, ManifestInvalid, LimitExceeded) as error:
            what = error.what if isinstance(error, (ManifestInvalid, LimitExceeded)) else str(error)
            kind = stand_in(call.layer) or type(call.layer).__name__
            refused.append(f"{call.name!r} ({kind}: {what}{_way_out(calls, call)})")
            shape = calls.shape(call, [graph.shape(i) for i in inputs])
            if shape is None:
                break
            numbers.append(graph.add_unknown(shape, call.name))
    if refused:
        raise UsageError(
            f"{options.path}: no form here for {', '.join(refused)}; spec/model.md, section 3, lists what has one"
        )
    end = numbers[calls.output]
    if graph.values[end].n_elements != prod(image):
        raise UsageError(f"the model makes {list(graph.shape(end))}, which is no image like its input {list(image)}")
    if graph.shape(end) != image:
        end = graph.add("reshape", end, name="the output", shape=image)
    add_pixels_out(graph, end, options.pixels_out)
    return graph, numbers


def _compare(
    pair: tuple[ModelPackage, ModelPackage], images: Images, latents: Floats, outputs: Floats, pixels: str
) -> Comparison:
    """Raises UsageError where the packages do not compute what Keras does."""
    encoder, decoder = (NumpyBackend().load(package) for package in pair)
    codes = encoder.run(images)
    off = np.abs(codes.reshape(latents.shape) - latents.astype(np.float64)) / np.maximum(1, np.abs(latents))
    made = decoder.run(codes)
    apart = np.abs(made.astype(np.int16) - pixels_of(outputs, pixels).reshape(made.shape))
    found = Comparison(len(images), float(off.max()), apart.size, int((apart > 0).sum()), int(apart.max()))
    allowed = _TWO_SIDES * (1 + apart.size // ROWS_PER_FLIP)
    if not off.max() <= _TWO_SIDES * FLOAT_TOLERANCE:
        raise UsageError(f"not imported: latents differ from Keras's by {off.max():.3g} of their size")
    if found.levels > _TWO_SIDES * MAX_LEVELS or found.n_off > allowed:
        what = f"{found.n_off} of {found.n_pixels} pixels differ from Keras's, by up to {found.levels} levels"
        raise UsageError(f"not imported: {what}")
    return found
