"""Header fields: what they mean; a malformed one is never guessed at."""

from __future__ import annotations

import hashlib

import pytest

from aeformat.transport import draft, http_fields
from aeformat.transport.http_fields import NPY, PNG, ContentRange, Unsatisfiable
from aeformat.transport.upload_limit import parse_limit

SHA = hashlib.sha256(b"x").digest()


@pytest.mark.parametrize("text", ["", "-1", "01", "1.0", "1" * 16, "ten", "+5", "1;a", "٣"])
def test_an_offset_is_a_plain_count(text):
    """Upload-Offset: an RFC 8941 integer that is not negative."""
    with pytest.raises(draft.BadField):
        draft.integer("Upload-Offset", text)


@pytest.mark.parametrize("text", ["", "1", "true", "?2", "?1?1"])
def test_complete_is_a_boolean(text):
    """Upload-Complete: ?0 or ?1."""
    with pytest.raises(draft.BadField):
        draft.boolean("Upload-Complete", text)


def test_limits_are_parsed_as_written_and_unknown_members_ignored():
    """Upload-Limit."""
    limits = {"max-size": 10, "min-append-size": 5}
    assert parse_limit(draft.limit_text(limits)) == limits
    assert parse_limit('max-size=5, x=?1, y=a, z, a1=(1 2;q), b=:AA==:, c="x,\\"y"') == {"max-size": 5}


def test_digests_are_parsed_as_written():
    """Repr-Digest, alone and among others; a shortened one is refused."""
    text = http_fields.repr_digest(SHA)
    assert http_fields.parse_repr_digest(text) == SHA
    assert http_fields.parse_repr_digest(f"sha-512=:AAAA:, {text}") == SHA
    assert http_fields.parse_repr_digest(text[:-3]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=9-0", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
    ],
)
def test_a_range_is_one_span_or_ignored(text, expected):
    """T2-2."""
    found = http_fields.parse_range(text, 100)
    assert (found and (found.start, found.stop)) == expected


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_outside_is_416(text):
    """T2-2."""
    with pytest.raises(Unsatisfiable):
        http_fields.parse_range(text, 100)


@pytest.mark.parametrize("text", ["", "bytes 5-4/10", "bytes 0-9/*", "bytes 5-10/10", "bytes */10", "bytes a-b/c"])
def test_a_content_range_that_makes_no_sense_is_none(text):
    """T5-5."""
    assert ContentRange.parse(text) is None


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, PNG),
        ("*/*", PNG),
        ("application/x-npy", NPY),
        ("image/*;q=0.5, application/x-npy", NPY),
        ("image/png;q=0, */*", NPY),
        ("text/html", None),
        ("image/png;q=nonsense", None),
    ],
)
def test_the_preferred_type_is_chosen(accept, expected):
    """RFC 9110, 12.5.1."""
    assert http_fields.preferred(accept, (PNG, NPY)) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("7", (7, 8)), ("0-9", (0, 10)), ("9-0", None), ("-1", None), ("a", None)]
)
def test_rows_are_counted_from_0_with_both_ends(text, expected):
    """T2-7."""
    assert http_fields.parse_rows(text) == expected


@pytest.mark.parametrize(
    "text",
    ["max-age=1.5", "max-size=?1", "max-append-size", "max-size=-5", "min-size=a", 'max-age="1"', "max-size=(5)"],
)
def test_one_known_member_of_a_wrong_type_voids_all_limits(text):
    """T5-13, as the draft demands."""
    assert parse_limit(f"max-append-size=70000, {text}") == {}


@pytest.mark.parametrize(
    "text", ["max-size=5,", "max-size=5 max-age=1", "max-size=", "Max-Size=5", ",", "max-size=5;=1"]
)
def test_limits_that_are_no_dictionary_are_none(text):
    """RFC 8941: what cannot be parsed is ignored as a whole."""
    assert parse_limit(text) == {}


def test_parameters_of_limits_are_ignored():
    """T5-13: a member has its value with and without them; of one that comes twice the last one counts."""
    assert parse_limit(" max-size=5;a;b=?0 ;c ,\tmax-age=7") == {}
    assert parse_limit('max-size=4, max-size=5;a; b=?0;c="x",\tmax-age=7;q=1.5') == {"max-size": 5, "max-age": 7}
