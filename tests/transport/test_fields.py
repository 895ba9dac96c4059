"""Header fields: what they mean; a malformed one is never guessed at."""

from __future__ import annotations

import base64
import hashlib

import pytest

from aeformat.transport import draft, http_fields
from aeformat.transport.http_fields import NPY, PNG, ContentRange, Unsatisfiable
from aeformat.transport.messages import resolved
from aeformat.transport.structured import BadField
from aeformat.transport.upload_limit import parse_limit

SHA = hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    "text", ["", "-1", "1.0", "1" * 16, "ten", "+5", "٣", "?1", '"1"', "1, 2", "1;A", "1;a=", "(1)"]
)
def test_an_offset_is_a_plain_count(text):
    """Upload-Offset: an integer of RFC 9651 that is not negative."""
    with pytest.raises(BadField):
        draft.integer("Upload-Offset", text)


@pytest.mark.parametrize(
    "text", ["0;a=1", " 0 ", "00", "-0", '0;a="x;y";b=:aGk=:;c=?0;d;e=1.5;f=tok/en;g=@9;h=%"%c3%bc"']
)
def test_parameters_of_an_offset_mean_nothing(text):
    """RFC 9651, 4.2.3: they are read, and ignored."""
    assert draft.integer("Upload-Offset", text) == 0


def test_parameters_of_a_boolean_mean_nothing():
    """RFC 9651, 4.2.3."""
    assert draft.boolean("Upload-Complete", "?0;b") is False and draft.boolean("Upload-Complete", "?1; c=2") is True


@pytest.mark.parametrize(("text", "is_8", "is_without_type"), [
    ("8", True, False), ("8;x", True, False), ("5", False, True), ("6", False, False), ("9", False, False),
    ("eight", False, False), (None, False, False),
])  # fmt: skip
def test_the_interop_version_says_what_a_client_understands(text, is_8, is_without_type):
    """T4-14: another one than ours, or none, is no error."""
    assert (draft.understands_interim(text), draft.is_without_type(text)) == (is_8, is_without_type)


@pytest.mark.parametrize("text", ["", "1", "true", "?2", "?1?1"])
def test_complete_is_a_boolean(text):
    """Upload-Complete: ?0 or ?1."""
    with pytest.raises(BadField):
        draft.boolean("Upload-Complete", text)


def test_limits_are_parsed_as_written_and_unknown_members_ignored():
    """Upload-Limit."""
    limits = {"max-size": 10, "min-append-size": 5}
    assert parse_limit(draft.limit_text(limits)) == limits
    assert parse_limit('max-size=5, x=?1, y=a, z, a1=(1 2;q), b=:AA==:, c="x,\\"y"') == {"max-size": 5}
    assert parse_limit('max-size=5;p="q", x=?1, y=a, z=(1 "a;b" c);d, max-size=6') == {"max-size": 6}
    assert parse_limit("") == {}


@pytest.mark.parametrize(
    "text", ["max-age=1.5", "max-size=?1", "max-size", "min-size=-1", "max-age=(1)", "a=1,", "A=1", "a b"]
)
def test_limits_of_another_type_void_the_field(text):
    """The draft: a member that it defines, with a value of another type, and what is no dictionary."""
    assert parse_limit(f"max-append-size=5, {text}") == {}


def test_digests_are_parsed_as_written():
    """Repr-Digest, alone and among others; a shortened one is refused."""
    text = http_fields.repr_digest(SHA)
    assert http_fields.parse_repr_digest(text) == SHA
    assert http_fields.parse_repr_digest(f"md5=:AAAA:, {text}") == SHA
    assert http_fields.parse_repr_digest(text[:-3]) is None
    assert http_fields.parse_repr_digest("") is None
    both = f"{text}, sha-512=:{base64.b64encode(bytes(64)).decode()}:;a, unixsum=1"
    assert http_fields.parse_digests("Content-Digest", both) == {"sha-256": SHA, "sha-512": bytes(64)}


@pytest.mark.parametrize(
    "text", ["sha-256", "sha-256=5", "sha-256=:AAAA:", "sha-512=:=:", "sha-512=:a:", "sha-256=x=y"]
)
def test_a_digest_of_a_known_algorithm_must_be_one(text):
    """RFC 9530, section 2."""
    with pytest.raises(BadField):
        http_fields.parse_digests("Content-Digest", text)


TAG = http_fields.entity_tag(SHA)


@pytest.mark.parametrize(("method", "if_match", "if_none_match", "status"), [
    ("GET", None, None, None),
    ("GET", TAG, None, None),
    ("GET", f'"a,b", {TAG}', None, None),
    ("DELETE", "*", None, None),
    ("DELETE", '"nope"', None, 412),
    ("GET", f"W/{TAG}", None, 412),
    ("HEAD", "nonsense", None, 412),
    ("GET", None, TAG, 304),
    ("HEAD", None, f'"x", W/{TAG}', 304),
    ("GET", None, " * ", 304),
    ("DELETE", None, TAG, 412),
    ("GET", None, '"nope"', None),
    ("GET", '"nope"', TAG, 412),
    ("GET", TAG, TAG, 304),
])  # fmt: skip
def test_preconditions(method, if_match, if_none_match, status):
    """T2-15: If-Match compares strongly and comes first; If-None-Match compares weakly."""
    assert http_fields.precondition(method, if_match, if_none_match, TAG) == status


def test_what_has_no_entity_tag_matches_only_a_star():
    """T2-15."""
    assert http_fields.precondition("GET", TAG, None, None) == 412
    assert http_fields.precondition("GET", "*", TAG, None) is None


@pytest.mark.parametrize(("reference", "expected"), [
    ("../v1/uploads/x", "v1/uploads/x"),
    ("uploads/x", "v1/uploads/x"),
    ("/v1/uploads/x", "/v1/uploads/x"),
    ("http://h/v1/uploads/x", "http://h/v1/uploads/x"),
    ("../../x", "../x"),
])  # fmt: skip
def test_a_location_is_relative_to_the_request(reference, expected):
    """T4-29: RFC 9110, 10.2.2.  What is absolute stays so."""
    assert resolved("v1/uploads", reference) == expected


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
