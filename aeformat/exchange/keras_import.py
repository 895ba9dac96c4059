"""From a Keras file to an encoder and a decoder package, float32 profile, checked against Keras itself.

Owns the order of it: load, take apart, convert, cut, fold, build, compare.  Nothing is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Final

from aeformat.backends.runtime import keras_as_shipped
from aeformat.errors import Hint, LimitExceeded, ManifestInvalid, UsageError
from aeformat.exchange.activations import NoForm
from aeformat.exchange.fold import fold
from aeformat.exchange.imports import (
    MAX_NUMBERS,
    N_CHECKED,
    Images,
    Imported,
    Options,
    check_size,
    compare,
    image_shape,
)
from aeformat.exchange.keras_calls import Call, Calls, input_shape
from aeformat.exchange.keras_layers import convert
from aeformat.exchange.keras_load import load_model
from aeformat.exchange.keras_modern import stand_in
from aeformat.exchange.pixels import add_pixels_in, add_pixels_out, numbers_of
from aeformat.exchange.samples import golden_images, patterns
from aeformat.model.graph import Graph, as_refusal, cut
from aeformat.model.manifest import Endpoint
from aeformat.model.pair import build_pair
from aeformat.model.values import Value

_MEAN: Final = re.compile(r"(?i)(?<![a-z])(mean|mu)")


def import_keras(options: Options, samples: Callable[[tuple[int, ...]], Images] | None = None) -> Imported:
    """Both halves.  samples: image shape -> (n, *shape) u8 to compare on; without it patterns that are made here.

    Runs what is in the file, as Keras does.  Raises UsageError, also where the result differs from Keras's; BackendUnavailable.
    """
    if options.image is not None:
        check_size(options.image)
    with keras_as_shipped():
        return _imported(options, samples)


def _imported(options: Options, samples: Callable[[tuple[int, ...]], Images] | None) -> Imported:
    model = load_model(options.path)
    calls = Calls(model)
    at = calls.named(options.bottleneck)
    passed_over = _pass_over_samplers(calls, at)
    start = _start_shape(input_shape(model, str(options.path)), options)
    image = image_shape(start, options)
    check_size(image)
    n_checked = min(N_CHECKED, MAX_NUMBERS // prod(image))
    images = (patterns(image, n_checked) if samples is None else samples(image))[:n_checked]
    graph, numbers = _converted(calls, image, start, options)
    by_keras = calls.run(numbers_of(images, options.pixels_in).reshape(-1, *start))
    with as_refusal(str(options.path)):
        encoder, decoder = (fold(half) for half in cut(graph, numbers[at]))
        latents = Endpoint(decoder.shape(0), "f32")
        imported = build_pair(encoder, decoder, golden_images(image), latents=latents, name=options.name)
    comparison = compare(imported, images, by_keras[at], by_keras[calls.output], options.pixels_out, by="Keras")
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


def _start_shape(shape: tuple[int | None, ...], options: Options) -> tuple[int, ...]:
    """The model's input, with sizes for those that may be any."""
    if None not in shape:
        return tuple(size for size in shape if size is not None)
    if options.image is None or len(shape) != 3:
        raise UsageError(f"the model takes any size, {list(shape)}: say which", hint=Hint.GIVE_IMAGE_SHAPE)
    return tuple(given if size is None else size for size, given in zip(shape, options.image, strict=True))


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
