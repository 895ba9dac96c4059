"""When to try again, whether a decoder moves, and in which order one is believed."""

from __future__ import annotations

import json
from random import Random

import pytest

from aeformat.transport.fields import PROBLEM_TYPE, repr_digest
from aeformat.transport.messages import Done, Failed, Response
from aeformat.transport.policy import weigh
from aeformat.transport.problems import PROBLEMS, Problem
from aeformat.transport.resolver import Event, ModelResolver, State
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import Parcel, UploadClient


def test_waits_are_spread_over_all_of_the_interval_and_progress_starts_anew():
    """T8-1, T8-2."""
    retry = Retry(Random(1))
    waits = [retry.failed() for _ in range(7)]
    assert all(0 <= wait <= min(30, 0.5 * 2**n) for n, wait in enumerate(waits))
    assert retry.failed() is None

    retry.progress()
    assert retry.failed() <= 0.5
    firsts = [Retry(Random(seed)).failed() for seed in range(200)]
    assert min(firsts) < 0.05 and max(firsts) > 0.45


def test_retry_after_is_waited_for_and_bounded():
    """At least what the server asks for, at most an hour."""
    assert 7 <= Retry(Random(1)).failed(7.0) <= 7.5
    assert Retry(Random(1)).failed(1e9) <= 3601


@pytest.mark.parametrize(
    ("policy", "n_rows", "moves"),
    [("auto", 1385, False), ("auto", 1400, True), ("always", 1, True), ("never", 10**6, False)],
)
def test_a_decoder_moves_when_it_pays(policy, n_rows, moves):
    """T9-2, with the numbers of a 204 kB decoder and MNIST as PNG: it pays from 1,387 images on."""
    found = weigh(policy, n_rows=n_rows, image_bytes=275.1, container_bytes=128 * n_rows, model_bytes=204_000)
    assert found.moves is moves
    assert f"{n_rows:,} x (275.1 - 128.0) B" in found.why


def test_a_decoder_is_proved_before_it_is_installed():
    """T9-1: every way to READY that is not a hit leads over CHECK, PROVE and INSTALL, in this order."""
    from aeformat.transport.resolver import NEXT

    ways = [(State.LOOKUP,)]
    while ways:
        way = ways.pop()
        if way[-1] is State.READY and len(way) > 2:
            assert way[-4:] == (State.CHECK, State.PROVE, State.INSTALL, State.READY)
        ways += [(*way, to) for to in NEXT[way[-1]].values()]


def test_a_refusal_keeps_its_reason():
    """For the error that the user reads."""
    search = ModelResolver(b"x" * 32)
    search.on(Event.MISS)
    search.on(Event.HIT)
    assert search.on(Event.COSTS, "it does not pay") is State.REFUSED
    assert (search.is_over, search.why) == (True, "it does not pay")
    with pytest.raises(KeyError):
        search.on(Event.DONE)


@pytest.mark.parametrize("slug", PROBLEMS)
def test_a_client_does_what_the_problem_says(slug):
    """T6-1, T6-2: the hint in the document counts, whatever the status suggests."""
    problem = Problem(slug, "why")
    found = Response(problem.type.status, {"content-type": PROBLEM_TYPE}, json.dumps(problem.document()).encode())

    assert found.retry == problem.type.retry
    assert problem.document()["status"] == problem.type.status


@pytest.mark.parametrize(
    ("status", "retry"),
    [(400, "never"), (403, "never"), (404, "restart"), (408, "resume"), (409, "resume"), (410, "restart"),
     (413, "never"), (425, "after"), (429, "after"), (500, "after"), (502, "after"), (599, "after")],
)  # fmt: skip
def test_without_a_hint_the_status_decides(status, retry):
    """T6-3: a proxy answered."""
    assert Response(status, {"content-type": "text/html"}, b"<html>").retry == retry
    assert Response(status, {"content-type": PROBLEM_TYPE}, b'{"retry": "at once"}').retry == retry


def sending(named: dict[str, str]) -> UploadClient:
    """A client that is about to send 1,000 bytes with chunks that end at 300, 500 and 900."""
    client = UploadClient(Parcel(1000, bytes(32), "v1/containers/x", (300, 500, 900, 1000)), Retry(Random(1)))
    client.on(Response(404, {}))
    client.on(Response(201, {"location": "/v1/uploads/u", **named}))
    return client


@pytest.mark.parametrize(
    ("limit", "bodies"),
    [
        ("max-append-size=600", [(0, 500), (500, 1000)]),
        ("max-append-size=400", [(0, 300), (300, 500), (500, 900), (900, 1000)]),
        ("max-append-size=250", [(0, 250)]),
        ("max-size=9", [(0, 1000)]),
    ],
)
def test_requests_are_cut_at_chunks_within_the_limit(limit, bodies):
    """T5-2; a chunk above the limit is cut all the same."""
    client = sending({"upload-limit": limit})
    for start, stop in bodies:
        request = client.next()
        assert (request.body, request.fields["Upload-Complete"]) == ((start, stop), f"?{int(stop == 1000)}")
        client.on(Response(204, {"upload-offset": str(stop), "upload-complete": "?0"}))


@pytest.mark.parametrize(
    ("named", "ends"),
    [({"repr-digest": repr_digest(bytes(32))}, Done), ({"repr-digest": repr_digest(b"x" * 32)}, Failed), ({}, Failed)],
    ids=["its own", "another", "none"],
)
def test_success_is_believed_with_the_own_digest_only(named, ends):
    """T5-3: also where the server says 201."""
    client = sending({})
    client.on(Response(201, {"upload-complete": "?1", **named}))

    assert isinstance(client.next(), ends)
