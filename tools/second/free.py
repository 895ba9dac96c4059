"""Free sizes and what else version 1.1 adds to manifests (model.md, sections 3.1 and 12)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from .errors import SpecError

Size = tuple[int, int]

SAME = {
    "affine",
    "add",
    "concat",
    "slice",
    "scale",
    "lookup",
    "to_u8",
    "relu",
    "sigmoid",
    "tanh",
    "elu",
    "gelu",
    "silu",
}
SAME |= {"softplus", "leaky_relu"}
MAX_ELEMENTS = 2**30


def is_free(manifest: dict[str, Any]) -> bool:
    """Has an endpoint a size 0?"""
    return 0 in manifest["input"]["shape"] or 0 in manifest["output"]["shape"]


def minor_of(manifest: dict[str, Any]) -> int:
    """Section 12."""
    return int(is_free(manifest) or any(layer["kind"] == "slice" for layer in manifest["layers"]))


def ends_fit(manifest: dict[str, Any]) -> bool:
    """M2-8."""
    shapes = [manifest[end]["shape"] for end in ("input", "output")]
    return all(len(shape) == 3 and shape[:2] == [0, 0] and shape[2] > 0 for shape in shapes)


def find_scale(manifest: dict[str, Any]) -> Size | None:
    """S and T; None where M3-10 is broken."""
    layers = manifest["layers"]
    if any(layer["kind"] not in SAME | {"conv2d", "conv2d_transpose", "upsample"} for layer in layers):
        return None
    found = []
    for axis in (0, 1):
        ratio, value = Fraction(1), len(layers)
        while value > 0:
            layer = layers[value - 1]
            if layer["kind"] == "conv2d":
                ratio /= layer["strides"][axis]
            elif layer["kind"] == "conv2d_transpose":
                ratio *= layer["strides"][axis]
            elif layer["kind"] == "upsample":
                ratio *= layer["factors"][axis]
            value = layer["inputs"][0]
        if manifest["role"] == "encoder":
            ratio = 1 / ratio
        if ratio.denominator > 1:
            return None
        found.append(int(ratio))
    return found[0], found[1]


def keeps_proportion(layer: dict[str, Any], x: list[int], kernel: list[int]) -> bool:
    """M3-11, rows and columns."""
    if layer["kind"] == "concat":
        return bool(layer["axis"] == 2)
    if layer["kind"] not in ("conv2d", "conv2d_transpose"):
        return True
    for axis in (0, 1):
        stride, size = layer["strides"][axis], kernel[axis]
        sides = layer["padding" if layer["kind"] == "conv2d" else "crop"]
        both = sides[2 * axis] + sides[2 * axis + 1]
        if layer["kind"] == "conv2d_transpose" and both != size - stride:
            return False
        if layer["kind"] == "conv2d" and (x[axis] % stride or not size - stride <= both <= size - 1):
            return False
    return True


def latent_of(scale: Size, image: Size) -> Size:
    """Rounded up."""
    return -(-image[0] // scale[0]), -(-image[1] // scale[1])


def check_row(scale: Size, latent: Size, image: Size, channels: tuple[int, int], at: int) -> None:
    """M3-12.  channels: of the latent and of the image."""
    for size, depth in ((latent, channels[0]), (image, channels[1])):
        if min(size) < 1:
            raise SpecError("M3-12", at, f"{size} pixels", "value")
        if size[0] * size[1] * depth > MAX_ELEMENTS:
            raise SpecError("M3-12", at, f"{size} pixels", "limit")
    if latent != latent_of(scale, image):
        raise SpecError("M3-12", at, f"a latent of {latent} for an image of {image}", "value")


def continued(row: list[Any], size: Size, channels: int, scale: Size) -> tuple[list[Any], Size]:
    """An image, flat, with its last row and column repeated up to multiples of the scale; its height and width then."""
    latent = latent_of(scale, size)
    height, width = latent[0] * scale[0], latent[1] * scale[1]
    made = []
    for y in range(height):
        for x in range(width):
            at = (min(y, size[0] - 1) * size[1] + min(x, size[1] - 1)) * channels
            made += row[at : at + channels]
    return made, (height, width)


def cut(row: list[Any], size: Size, channels: int, image: Size) -> list[Any]:
    """The first rows and columns of an image, flat."""
    made = []
    for y in range(image[0]):
        at = y * size[1] * channels
        made += row[at : at + image[1] * channels]
    return made
