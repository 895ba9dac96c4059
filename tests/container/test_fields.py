"""Values of an untrusted map are checked one by one; each error names the rule, the byte and the key."""

from __future__ import annotations

import pytest

from aeformat.container.fields import (
    Place,
    as_any_map,
    as_digest,
    as_integer,
    as_integers,
    as_list,
    as_map,
    one_of,
)
from aeformat.errors import LimitExceeded, ManifestInvalid

PLACE = Place(137).inside("prior")
GOOD = {
    "any map": (as_any_map, {"a": 1}, {"a": 1}),
    "a map": (lambda *to: as_map(*to, ("a",), ("b",)), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    "one of some": (lambda *to: one_of(*to, ("u8", "i8")), "i8", "i8"),
    "an integer": (lambda *to: as_integer(*to, -1, 9), -1, -1),
    "a list": (as_list, [1, "x"], [1, "x"]),
    "integers": (lambda *to: as_integers(*to, range(1, 3), 0, 9), [0, 9], (0, 9)),
    "a digest": (as_digest, bytes(32), bytes(32)),
}
BAD = {
    "no map": (as_any_map, [], "expected a map, found []"),
    "a key too few": (lambda *to: as_map(*to, ("a", "c")), {"a": 1}, 'key "c" is missing'),
    "a key too many": (lambda *to: as_map(*to, ("a",)), {"a": 1, "b": 2}, "unknown key 'b'"),
    "another string": (lambda *to: one_of(*to, ("u8", "i8")), "f32", "expected one of u8, i8, found 'f32'"),
    "no string": (lambda *to: one_of(*to, ("u8", "i8")), 8, "found 8"),
    "too small": (lambda *to: as_integer(*to, 0, 9), -1, "expected an integer from 0 to 9, found -1"),
    "a truth value": (lambda *to: as_integer(*to, 0, 9), True, "found True"),
    "no list": (as_list, (1,), "expected a list, found (1,)"),
    "too many": (
        lambda *to: as_integers(*to, range(1, 3), 0, 9),
        [1, 2, 3],
        "expected 1 to 2 integers, found 3 entries",
    ),
    "not so many": (lambda *to: as_integers(*to, range(2, 3), 0, 9), [1], "expected 2 integers, found 1 entries"),
    "one too large": (lambda *to: as_integers(*to, range(1, 3), 0, 9), [1, 10], "found 10"),
    "a short digest": (as_digest, bytes(31), "expected 32 bytes"),
}


@pytest.mark.parametrize(("check", "value", "made"), GOOD.values(), ids=GOOD)
def test_what_is_as_it_must_be_is_handed_on(check, value, made):
    """As it is; integers as a tuple."""
    assert check(PLACE, "M2-2", value) == made


@pytest.mark.parametrize(("check", "value", "words"), BAD.values(), ids=BAD)
def test_what_is_not_is_refused_at_the_manifest(check, value, words):
    """With the rule that the caller keeps, and where in the manifest it is."""
    with pytest.raises(ManifestInvalid) as caught:
        check(PLACE, "M2-2", value)

    assert (caught.value.rule, caught.value.at) == ("M2-2", 137)
    assert str(caught.value).startswith("manifest: prior: ") and words in str(caught.value)


def test_what_is_too_large_is_a_limit():
    """Another code, the same place."""
    error = PLACE.over_limit("M2-6", "9 bytes")

    assert (type(error), error.rule, error.at, error.what) == (LimitExceeded, "M2-6", 137, "manifest: prior: 9 bytes")
