"""What latents are (container.md, section 3.3): rules C3-21 to C3-26, each for the whole map before the next."""

from __future__ import annotations

import math
import struct
from typing import Any

from .errors import SpecError
from .msgpack import Node

_NAMES = {
    "colour": "srgb bgr grey",
    "crop": "none center random bucket",
    "kind": "mean sample",
    "resize": "none fit cover stretch",
    "resize_filter": "nearest box bilinear hamming bicubic lanczos",
    "value_range": "-1..1 0..1 0..255",
}
_NUMBERS = ("scale", "shift", "step")
_KEYS = {*_NAMES, *_NUMBERS, "axis", "foreign_encoder", "seed", "size", "software"}


def check_described(node: Node, header: dict[str, Any]) -> None:
    """The value of `described` in a header of latents whose other keys are right."""

    def broken(rule: str, what: str, code: str | None = None) -> SpecError:
        return SpecError(rule, 24, f"described: {what}", code)

    said = {key.text(): value for key, value in node.items()}
    # C3-21
    if not said:
        raise broken("C3-21", "empty", "header")
    if unknown := said.keys() - _KEYS:
        raise broken("C3-21", f"unknown {sorted(unknown)}", "unsupported")
    # C3-22
    for key, value in said.items():
        if not _fits(key, value):
            raise broken("C3-22", f"wrong value of {key}")
    # C3-23
    for key, names in _NAMES.items():
        if key in said and (name := said[key].text()) not in names.split(" ") and name[:7] != "other: ":
            raise broken("C3-23", f"{key} {name!r}", "unsupported")
    # C3-24
    numbers = {key: struct.unpack(f"<{len(said[key].value) // 8}d", said[key].value) for key in _NUMBERS if key in said}
    for key, listed in numbers.items():
        for number in listed:
            negative_zero = number == 0 and math.copysign(1.0, number) == -1.0
            if not math.isfinite(number) or negative_zero:
                raise broken("C3-24", f"{key} {number}")
            if (key == "scale" and number == 0) or (key == "step" and not number > 0):
                raise broken("C3-24", f"{key} {number}")
    # C3-25
    if numbers.get("scale") == (1.0,) or numbers.get("shift") == (0.0,):
        raise broken("C3-25", "scale of 1, or shift of 0")
    lists = [listed for listed in numbers.values() if len(listed) > 1]
    if any(min(listed) == max(listed) for listed in lists):
        raise broken("C3-25", "equal numbers")
    if bool(lists) != ("axis" in said):
        raise broken("C3-25", "an axis for lists, and for nothing else")
    if lists:
        axis, dims = said["axis"].value, header["dims"]
        if axis >= len(dims) or not dims[axis] or any(len(listed) != dims[axis] for listed in lists):
            raise broken("C3-25", f"axis {axis} of {dims}")
    # C3-26
    if "decoder" in header and ("scale" in said or "shift" in said):
        raise broken("C3-26", "scale or shift with a package")
    if "encoder" in header and "foreign_encoder" in said:
        raise broken("C3-26", "two encoders")
    if "resize_filter" in said and ("resize" not in said or said["resize"].text() == "none"):
        raise broken("C3-26", "resize_filter without resize")
    if "seed" in said:
        drawn = [said[key].text() for key in ("kind", "crop") if key in said]
        if not any(name in ("sample", "random") or name.startswith("other: ") for name in drawn):
            raise broken("C3-26", "seed of nothing")


def content(header: dict[str, Any]) -> dict[str, Any]:
    """What of a description belongs to the content id (section 9)."""
    said = header.get("described", {})
    kept = {key: said[key] for key in ("scale", "shift") if key in said}
    return kept | ({"axis": said["axis"]} if any(len(numbers) > 8 for numbers in kept.values()) else {})


def _fits(key: str, node: Node) -> bool:
    """C3-22: the table of section 3.3."""
    if key in _NAMES:
        return node.kind == "str" and (node.value[:7] != b"other: " or _is_text(node.value[7:]))
    if key in _NUMBERS:
        return node.kind == "bin" and len(node.value) % 8 == 0 and 8 <= len(node.value) <= 8 * 2048
    if key == "software":
        return node.kind == "str" and _is_text(node.value)
    if key == "foreign_encoder":
        return node.kind == "bin" and len(node.value) == 32
    if key == "size":
        sides = node.children
        return (
            node.kind == "array" and len(sides) == 2 and all(s.kind == "int" and 1 <= s.value <= 65_535 for s in sides)
        )
    return node.kind == "int" and 0 <= node.value <= (7 if key == "axis" else 2**53 - 1)


def _is_text(data: bytes) -> bool:
    """A text of section 3.3, of UTF-8 that has been checked."""
    return 1 <= len(data) <= 1024 and not any(byte < 0x20 or byte == 0x7F for byte in data)
