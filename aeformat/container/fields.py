"""Checks of the values in an untrusted map.  Each error says which key is wrong, and what was expected.

Owns the text of the errors about manifests.  Does not know which keys a manifest has.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection
from typing import Any, NamedTuple

from aeformat.errors import LimitExceeded, ManifestInvalid


class Place(NamedTuple):
    """A position in a manifest, for errors.  at: first byte of the manifest's payload in the file."""

    at: int
    path: str = "manifest"

    def inside(self, name: str) -> Place:
        """The place of a part of this one."""
        return Place(self.at, f"{self.path}: {name}")

    def invalid(self, rule: str, what: str) -> ManifestInvalid:
        """The error for a broken rule here."""
        return ManifestInvalid(rule, self.at, f"{self.path}: {what}")

    def over_limit(self, rule: str, what: str) -> LimitExceeded:
        """The error for a count or a size that is too large here."""
        return LimitExceeded(rule, self.at, f"{self.path}: {what}")


def as_any_map(place: Place, rule: str, value: object) -> dict[str, Any]:
    """`value` as a map of whatever keys."""
    if not isinstance(value, dict):
        raise place.invalid(rule, f"expected a map, found {reprlib.repr(value)}")
    return value


def as_map(
    place: Place, rule: str, value: object, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """`value` as a map with all of `required`, any of `optional`, and no other key."""
    fields = as_any_map(place, rule, value)
    for key in required:
        if key not in fields:
            raise place.invalid(rule, f'key "{key}" is missing')
    for key in fields:
        if key not in required and key not in optional:
            raise place.invalid(rule, f"unknown key {reprlib.repr(key)}")
    return fields


def one_of(place: Place, rule: str, value: object, choices: Collection[str]) -> str:
    """`value` as one of some strings."""
    if not isinstance(value, str) or value not in choices:
        raise place.invalid(rule, f"expected one of {', '.join(choices)}, found {reprlib.repr(value)}")
    return value


def as_integer(place: Place, rule: str, value: object, lo: int, hi: int) -> int:
    """`value` as an integer from lo to hi.  A boolean is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not lo <= value <= hi:
        raise place.invalid(rule, f"expected an integer from {lo} to {hi}, found {reprlib.repr(value)}")
    return value


def as_list(place: Place, rule: str, value: object) -> list[Any]:
    """`value` as a list."""
    if not isinstance(value, list):
        raise place.invalid(rule, f"expected a list, found {reprlib.repr(value)}")
    return value


def as_integers(place: Place, rule: str, value: object, lengths: range, lo: int, hi: int) -> tuple[int, ...]:
    """`value` as a list of as many integers from lo to hi as `lengths` allows."""
    items = as_list(place, rule, value)
    if len(items) not in lengths:
        count = str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        raise place.invalid(rule, f"expected {count} integers, found {len(items)} entries")
    return tuple(as_integer(place, rule, item, lo, hi) for item in items)


def as_digest(place: Place, rule: str, value: object) -> bytes:
    """`value` as 32 bytes."""
    if not isinstance(value, bytes) or len(value) != 32:
        raise place.invalid(rule, f"expected 32 bytes, found {reprlib.repr(value)}")
    return value
