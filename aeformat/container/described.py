"""What latents are: the map `described` of a header (spec/container.md, section 3.3).

Owns Described <-> plain map, and what such a map may hold (C3-21 to C3-26).  Knows nothing of other keys of a header.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aeformat.container import limits
from aeformat.errors import UsageError

OTHER: Final = "other: "  # what a name that is not assigned begins with
ASSIGNED_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "colour": ("srgb", "bgr", "grey"),
    "crop": ("none", "center", "random", "bucket"),
    "kind": ("mean", "sample"),
    "resize": ("none", "fit", "cover", "stretch"),
    "resize_filter": ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    "value_range": ("-1..1", "0..1", "0..255"),
}
DESCRIBED_KEYS: Final = frozenset(
    {*ASSIGNED_NAMES, "axis", "foreign_encoder", "scale", "seed", "shift", "size", "software", "step"}
)
_NUMBERS: Final = ("scale", "shift", "step")
_NUMBER_BYTES: Final = 8
_MOST_SIDE: Final = 65_535
_INTEGERS: Final = {"axis": 7, "seed": 2**53 - 1}  # the largest of each

Numbers = float | tuple[float, ...]


class DescribedInvalid(ValueError):
    """A map that is no description.  rule: "C3-22".  is_newer: it may be right in a later version."""

    def __init__(self, rule: str, what: str, *, is_newer: bool = False) -> None:
        super().__init__(rule, what)
        self.rule, self.what, self.is_newer = rule, what, is_newer


@dataclass(frozen=True)
class Described:
    """What latents are, for a decoder that takes them and for whoever makes more of them; None: not said.

    kind: "mean" or "sample"; seed: of what was drawn by chance.  A foreign decoder takes value / scale + shift.  step: what
    values were rounded to multiples of.  These three are numbers, or one for each index along `axis` of dims, the channels.
    How an image was prepared, in this order: resize ("none", "fit", "cover", "stretch") and resize_filter ("bilinear", ...),
    crop ("none", "center", "random", "bucket"), size (height, width), colour ("srgb", "bgr", "grey"), value_range ("-1..1",
    "0..1", "0..255").  Any of these names may be "other: " and a text instead.
    foreign_encoder: network id of the encoder, 32 bytes.  software: what made the latents.

    Numbers that are all equal become one number, and axis becomes None where no list is left.
    Raises UsageError.  Source: spec/container.md, section 3.3.
    """

    kind: str | None = None
    seed: int | None = None
    scale: Numbers = 1.0
    shift: Numbers = 0.0
    step: Numbers | None = None
    axis: int | None = None
    resize: str | None = None
    resize_filter: str | None = None
    crop: str | None = None
    size: tuple[int, int] | None = None
    colour: str | None = None
    value_range: str | None = None
    foreign_encoder: bytes | None = None
    software: str | None = None

    def __post_init__(self) -> None:
        for key in _NUMBERS:
            if getattr(self, key) is not None:
                object.__setattr__(self, key, _numbers(key, getattr(self, key)))
        if not any(isinstance(getattr(self, key), tuple) for key in _NUMBERS):
            object.__setattr__(self, "axis", None)
        for key in _INTEGERS:
            object.__setattr__(self, key, _plain(getattr(self, key)))
        if isinstance(self.size, Iterable) and not isinstance(self.size, str | bytes):
            object.__setattr__(self, "size", tuple(map(_plain, self.size)))
        try:
            _check_values(self.to_map())
        except DescribedInvalid as error:
            raise UsageError(f"described: {error.what}") from None

    def to_map(self) -> dict[str, Any]:
        """As the header has it: nothing that is not said, nor a scale of 1 or a shift of 0."""
        said = {key: getattr(self, key) for key in sorted(DESCRIBED_KEYS)}
        said |= {"scale": None if said["scale"] == 1 else said["scale"], "shift": said["shift"] or None}
        return {key: _packed(value) if key in _NUMBERS else value for key, value in said.items() if value is not None}

    def content_map(self) -> dict[str, Any]:
        """What of it is part of the content id (section 9): what a decoder needs."""
        said = self.to_map()
        kept = ["scale", "shift"]
        if isinstance(self.scale, tuple) or isinstance(self.shift, tuple):
            kept.append("axis")
        return {key: said[key] for key in kept if key in said}


def parse_described(said: dict[str, Any], dims: tuple[int, ...], *, is_foreign: bool, has_encoder: bool) -> Described:
    """The description in the map of a header with these dims.  Raises DescribedInvalid.

    is_foreign: the decoder is no package, or not known.  has_encoder: the header names an encoder that is a package.
    """
    if not said:
        raise DescribedInvalid("C3-21", "it has no key")
    if unknown := sorted(said.keys() - DESCRIBED_KEYS):
        raise DescribedInvalid("C3-21", f"unknown key {unknown[0]!r}", is_newer=True)
    _check_values(said)
    numbers: dict[str, Numbers] = {key: _unpacked(said[key]) for key in _NUMBERS if key in said}
    _check_form(numbers, said.get("axis"), dims)
    _check_together(said, is_foreign=is_foreign, has_encoder=has_encoder)
    return Described(**{**said, **numbers})


def _numbers(key: str, given: Any) -> Numbers:
    """As Described keeps them.  Raises UsageError."""
    try:
        listed = [given] if not isinstance(given, Iterable) or isinstance(given, str) else list(given)
        numbers = tuple(_real(number) + 0.0 for number in listed)  # + 0.0: there is one zero
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"described: {key} is {given!r}, and must be a number or a list of numbers") from None
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _real(number: Any) -> float:
    """NumPy's numbers too, but no text."""
    if isinstance(number, str | bytes):
        raise TypeError("a text is no number")
    return float(number)


def _plain(number: Any) -> Any:
    """NumPy's integers as Python's; what is no integer stays as it is."""
    return operator.index(number) if hasattr(number, "__index__") and not isinstance(number, bool) else number


def _packed(numbers: Numbers) -> bytes:
    listed = numbers if isinstance(numbers, tuple) else (numbers,)
    return struct.pack(f"<{len(listed)}d", *listed)


def _unpacked(data: bytes) -> Numbers:
    numbers = struct.unpack(f"<{len(data) // _NUMBER_BYTES}d", data)
    return numbers if len(numbers) > 1 else numbers[0]


def _check_values(said: Mapping[str, Any]) -> None:
    """C3-22, C3-23, C3-24: of each key by itself."""
    for key in sorted(said):
        if not _fits(key, said[key]):
            raise DescribedInvalid("C3-22", f"{key} is {said[key]!r}, which is not what it can be")
    for key, names in ASSIGNED_NAMES.items():
        if key in said and said[key] not in names and not said[key].startswith(OTHER):
            what = f"{key} is {said[key]!r}, not one of {', '.join(names)}, nor begins with {OTHER!r}"
            raise DescribedInvalid("C3-23", what, is_newer=True)
    for key in _NUMBERS:
        if key in said:
            _check_numbers(key, struct.unpack(f"<{len(said[key]) // _NUMBER_BYTES}d", said[key]))


def _fits(key: str, value: object) -> bool:
    """C3-22."""
    if key in ASSIGNED_NAMES:
        return isinstance(value, str) and (not value.startswith(OTHER) or _is_text(value[len(OTHER) :]))
    if key in _INTEGERS:
        return type(value) is int and 0 <= value <= _INTEGERS[key]
    if key in _NUMBERS:
        return (
            isinstance(value, bytes)
            and _NUMBER_BYTES <= len(value) <= _NUMBER_BYTES * limits.DESCRIBED_NUMBERS
            and (len(value) % _NUMBER_BYTES == 0)
        )
    if key == "foreign_encoder":
        return isinstance(value, bytes) and len(value) == 32
    if key == "size":
        return isinstance(value, list | tuple) and len(value) == 2 and all(_is_side(side) for side in value)
    return isinstance(value, str) and _is_text(value)  # software


def _is_side(side: object) -> bool:
    return type(side) is int and 1 <= side <= _MOST_SIDE


def _is_text(text: str) -> bool:
    return 1 <= len(text.encode("utf-8", "surrogatepass")) <= limits.DESCRIBED_TEXT_BYTES and not any(
        character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in text
    )


def _check_numbers(key: str, numbers: tuple[float, ...]) -> None:
    """C3-24."""
    for number in numbers:
        if not math.isfinite(number):
            raise DescribedInvalid("C3-24", f"{key} has {number}")
        if number == 0 and math.copysign(1, number) < 0:
            raise DescribedInvalid("C3-24", f"{key} has a negative zero")
        if (key == "scale" and number == 0) or (key == "step" and number <= 0):
            raise DescribedInvalid("C3-24", f"{key} has {number:g}")


def _check_form(numbers: Mapping[str, Numbers], axis: int | None, dims: tuple[int, ...]) -> None:
    """C3-25."""
    lists = {key: value for key, value in numbers.items() if isinstance(value, tuple)}
    if numbers.get("scale") == 1 or numbers.get("shift") == 0:
        raise DescribedInvalid("C3-25", "a scale of 1 or a shift of 0, which is left out")
    for key, value in lists.items():
        if len(set(value)) == 1:
            raise DescribedInvalid("C3-25", f"{key} has {len(value)} numbers that are all equal")
    if (axis is not None) != bool(lists):
        what = "there is no axis" if lists else f"axis is {axis}"
        raise DescribedInvalid("C3-25", f"{what}, and {'a' if lists else 'no'} list of numbers")
    if axis is None:
        return
    if axis >= len(dims) or not dims[axis]:
        raise DescribedInvalid("C3-25", f"axis {axis} of dims {list(dims)}, which has no size there")
    for key, value in lists.items():
        if len(value) != dims[axis]:
            raise DescribedInvalid("C3-25", f"{key} has {len(value)} numbers, axis {axis} the size {dims[axis]}")


def _check_together(said: Mapping[str, Any], *, is_foreign: bool, has_encoder: bool) -> None:
    """C3-26."""
    if not is_foreign and said.keys() & {"scale", "shift"}:
        raise DescribedInvalid("C3-26", "scale and shift are for decoders that are no packages")
    if has_encoder and "foreign_encoder" in said:
        raise DescribedInvalid("C3-26", "foreign_encoder, and there is an encoder that is a package")
    if "resize_filter" in said and said.get("resize", "none") == "none":
        raise DescribedInvalid("C3-26", "resize_filter, and nothing is resized")
    chosen = (said.get("kind", ""), said.get("crop", ""))
    if "seed" in said and not ({"sample", "random"} & set(chosen) or any(name.startswith(OTHER) for name in chosen)):
        raise DescribedInvalid("C3-26", "seed, and nothing is drawn by chance: kind is no sample, crop not random")
