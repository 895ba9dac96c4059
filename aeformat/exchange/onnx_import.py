"""From an ONNX file to an encoder and a decoder package, float32 profile, checked against who runs ONNX files.

Owns the order of it: read, prune, convert, cut, fold, build, compare.  Nothing is written here.  A network that takes any
height and width is converted for two sizes: what comes out must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.container.fields import Place
from aeformat.errors import Hint, ManifestInvalid, UsageError
from aeformat.exchange.exact import as_convolution
from aeformat.exchange.fold import fold
from aeformat.exchange.imports import (
    MAX_NUMBERS,
    N_CHECKED,
    Images,
    Imported,
    Options,
    check_size,
    compare,
)
from aeformat.exchange.onnx_canvas import Canvas, Tensor
from aeformat.exchange.onnx_file import OnnxNet, Shape, read_onnx
from aeformat.exchange.onnx_layout import Layout, image_axes, layout_of, sized_start
from aeformat.exchange.onnx_prune import Pruned, prune
from aeformat.exchange.onnx_run import ONNXRUNTIME, run, runtime
from aeformat.exchange.onnx_walk import walk
from aeformat.exchange.pixels import add_pixels_in, add_pixels_out, numbers_of
from aeformat.exchange.samples import free_golden_images, golden_images, patterns
from aeformat.model.free_sizes import scale_of
from aeformat.model.graph import Graph, as_refusal, cut
from aeformat.model.manifest import Endpoint
from aeformat.model.pair import build_pair
from aeformat.model.values import Value

Array = NDArray[Any]
Samples = Callable[[tuple[int, ...], bool], Images]

SUFFIX: Final = ".onnx"
_BY_REFERENCE: Final = 4  # images that onnx's own reference runs: it is slow
_TRIED: Final = 192  # rows and columns for a network of any size: a multiple of most scales
_COMPARED: Final = 96  # at least so many rows and columns of a network of any size are compared on


@dataclass(frozen=True, slots=True)
class _Converted:
    """graph: from u8 pixels to u8 pixels.  latents: the bottleneck.  output: (n, ...) of ONNX -> in the packages' order."""

    graph: Graph
    latents: Tensor
    output: Callable[[Array], Array]


def import_onnx(options: Options, samples: Samples | None = None) -> Imported:
    """Both halves of the network in an ONNX file.  Nothing in the file runs but ONNX's own operators.

    samples: (image shape, whether to cut parts of this size out of larger images) -> (n, *shape) u8 to compare on; without it
    patterns that are made here.  Without options.image, a network that takes any height and width becomes packages that do.
    Raises UsageError, also where the result differs from what onnxruntime gives.  Source: spec/model.md, sections 3 and 3.1.
    """
    if options.image is not None:
        check_size(options.image)
    net = read_onnx(options.path)
    with as_refusal(str(options.path)), _named(options.path):
        pruned = prune(net, options.bottleneck)
        if options.image is None and _is_free(net.shape[1:]):
            return _free(pruned, options, samples)
        return _fixed(pruned, options, samples)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let a refusal begin with the file's name."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}: {error}", hint=error.hint) from error


def _is_free(start: Shape) -> bool:
    return len(start) == 3 and start.count(None) >= 2


def _fixed(pruned: Pruned, options: Options, samples: Samples | None) -> Imported:
    layout = layout_of(pruned.net.shape[1:], options)
    check_size(layout.image)
    converted = _convert(pruned, options, layout)
    encoder, decoder = (fold(half) for half in cut(converted.graph, converted.latents.value))
    latents = Endpoint(decoder.shape(0), "f32")
    golden = golden_images(layout.image)
    pair = build_pair(encoder, decoder, golden, latents=latents, name=options.name)
    images = patterns(layout.image, _n_checked(layout.image)) if samples is None else samples(layout.image, False)
    return _compared(pair, (encoder, decoder), images, converted, layout, pruned, options)


def _free(pruned: Pruned, options: Options, samples: Samples | None) -> Imported:
    """The network for a latent of 1 x 1, whatever the size."""
    tried = _convert(
        pruned, options, layout_of(sized_start(pruned.net.shape[1:], (_TRIED, _TRIED)), options), any_size=True
    )
    halves = _halves_of_any_size(tried)
    try:
        scale_of(Place(0), halves[0].steps, is_decoder=False)  # type: ignore[arg-type]  # a step has what a layer has
        scale = scale_of(Place(0), halves[1].steps, is_decoder=True)  # type: ignore[arg-type]
    except ManifestInvalid as error:
        raise _no_free_form(error.what, error.rule) from error
    layout = layout_of(sized_start(pruned.net.shape[1:], scale), options)
    halves = _same_halves(pruned, options, layout, halves)
    channels = layout.image[2]
    latents = Endpoint((0, 0, halves[1].shape(0)[-1]), "f32")
    try:
        golden = free_golden_images(scale, channels)
        pair = build_pair(*halves, golden, latents=latents, name=options.name)
    except ManifestInvalid as error:
        raise _no_free_form(error.what, error.rule) from error
    size = (scale[0] * -(-_COMPARED // scale[0]), scale[1] * (1 - -_COMPARED // scale[1]))
    whole = layout_of(sized_start(pruned.net.shape[1:], size), options)
    images = patterns(whole.image, _n_checked(whole.image)) if samples is None else samples(whole.image, True)
    converted = _convert(pruned, options, whole)
    return _compared(pair, halves, images, converted, whole, pruned, options)


def _halves_of_any_size(converted: _Converted) -> tuple[Graph, Graph]:
    """With convolutions in the place of means, which do not go with free sizes."""
    encoder, decoder = (fold(_with_convolutions(half)) for half in cut(converted.graph, converted.latents.value))
    return encoder, decoder


def _with_convolutions(graph: Graph) -> Graph:
    made = Graph(graph.values[0])
    for step, name in zip(graph.steps, graph.names[1:], strict=True):
        is_mean = step.kind == "average_pool" and not any(step.integers("padding"))
        made.copy_step(as_convolution(step) if is_mean else step, step.inputs, name)
    return made


def _same_halves(pruned: Pruned, options: Options, layout: Layout, tried: tuple[Graph, Graph]) -> tuple[Graph, Graph]:
    """The halves for a latent of 1 x 1, if they are the layers of a larger image."""
    try:
        smallest = _halves_of_any_size(_convert(pruned, options, layout, any_size=True))
    except UsageError as error:
        raise _no_free_form(str(error), "M3-11") from error
    if not all(map(_same_layers, smallest, tried)):
        raise _no_free_form("its layers depend on the size of the image")
    return smallest


def _same_layers(a: Graph, b: Graph) -> bool:
    return len(a.steps) == len(b.steps) and all(
        (x.kind, x.inputs, x.params) == (y.kind, y.inputs, y.params)
        and all(np.array_equal(x.arrays[key], y.arrays[key]) for key in x.arrays)
        for x, y in zip(a.steps, b.steps, strict=True)
    )


def _no_free_form(what: str, rule: str = "M3-10") -> UsageError:
    return UsageError(
        f"takes any height and width, and has no form as packages that do: {what} (rule {rule}); for images of one size, "
        "say which",
        hint=Hint.GIVE_IMAGE_SHAPE,
    )


# From operators to layers.


def _convert(pruned: Pruned, options: Options, layout: Layout, *, any_size: bool = False) -> _Converted:
    canvas = Canvas(Value(layout.image, "u8"))
    pixels = add_pixels_in(canvas.graph, options.pixels_in)
    values = walk(pruned, canvas, layout.tensor(pixels, layout.start))
    end: Tensor = values[pruned.output]
    if len(end.shape) == 3 and end.order.size != prod(layout.image) and any_size:
        return _finished(canvas, canvas.as_pixels(end, "the output"), options, _pixels_last)
    if end.order.size != prod(layout.image):
        raise UsageError(f"the network makes {list(end.shape)}, which is no image like its input {list(layout.image)}")
    axes, shape = image_axes(end.shape, layout)
    order = end.order.reshape(shape)
    made = canvas.holding(canvas.value_of(end), order.transpose(axes).reshape(layout.image), "the output")
    return _finished(canvas, made, options, lambda rows: rows.reshape(-1, *shape).transpose(0, *(i + 1 for i in axes)))


def _finished(canvas: Canvas, end: int, options: Options, output: Callable[[Array], Array]) -> _Converted:
    add_pixels_out(canvas.graph, end, options.pixels_out)
    assert canvas.latents is not None  # prune: the output is made of it
    return _Converted(canvas.graph, canvas.latents, output)


def _pixels_last(rows: Array) -> Array:
    return rows.transpose(0, 2, 3, 1)


# Against ONNX itself.


def _n_checked(image: tuple[int, ...]) -> int:
    return max(1, min(N_CHECKED, MAX_NUMBERS // prod(image)))


def _compared(
    pair: Any, halves: tuple[Graph, Graph], images: Images, converted: _Converted, layout: Layout,
    pruned: Pruned, options: Options,
) -> Imported:  # fmt: skip
    by = runtime()
    images = images[: _n_checked(layout.image) if by == ONNXRUNTIME else _BY_REFERENCE]
    rows = _rows(pruned.net, layout, images, options.pixels_in)
    latents, outputs = run(pruned.net, rows, (pruned.bottleneck, pruned.output), by=by)
    order = converted.latents.order
    placed = np.empty((len(latents), order.size))
    placed[:, order.reshape(-1)] = latents.reshape(len(latents), -1)
    shape = converted.graph.shape(converted.latents.value)
    comparison = compare(pair, images, placed.reshape(-1, *shape), converted.output(outputs), options.pixels_out, by=by)
    encoder, decoder = pair
    return Imported(encoder, decoder, halves, comparison, pruned.passed_over)


def _rows(net: OnnxNet, layout: Layout, images: Images, pixels: str) -> Array:
    """Images as the network takes them.  Raises UsageError where it takes integers and other numbers are meant."""
    if net.dtype == np.uint8 and pixels != "raw":
        raise UsageError("the network takes uint8: its pixels are 0 to 255, raw")
    numbers = numbers_of(images, pixels)
    return np.ascontiguousarray(layout.rows(numbers).astype(net.dtype))
