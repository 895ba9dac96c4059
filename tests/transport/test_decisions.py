"""When to retry, whether a decoder is transferred, and in which order it is checked; what a client does with each response."""

from __future__ import annotations

import hashlib
import json
from random import Random

import pytest

from aeformat.transport.http_fields import PROBLEM_TYPE, repr_digest
from aeformat.transport.messages import Done, Failed, Hash, Lost, Response
from aeformat.transport.policy import decide_transfer
from aeformat.transport.problems import PROBLEMS, Problem
from aeformat.transport.resolver import Event, ModelResolver, State
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import UploadClient, UploadSource

pytestmark = pytest.mark.usefixtures("small_requests")

SHA = hashlib.sha256(b"the file").digest()
STORED = {"upload-complete": "?1", "repr-digest": repr_digest(SHA)}


def test_waits_are_random_over_the_whole_interval_and_progress_resets_them():
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
    """At least as long as the server asks for, at most an hour."""
    assert 7 <= Retry(Random(1)).failed(7.0) <= 7.5
    assert Retry(Random(1)).failed(1e9) <= 3601


@pytest.mark.parametrize(
    ("policy", "n_rows", "should_transfer"),
    [("auto", 1385, False), ("auto", 1400, True), ("always", 1, True), ("never", 10**6, False)],
)
def test_a_decoder_is_transferred_when_it_pays(policy, n_rows, should_transfer):
    """T9-2, for a decoder of 204 kB and MNIST as PNG: it pays from 1,387 images on."""
    found = decide_transfer(policy, n_rows=n_rows, image_bytes=275.1, container_bytes=128 * n_rows, model_bytes=204_000)
    assert found.should_transfer is should_transfer
    assert f"{n_rows:,} x (275.1 - 128.0) B" in found.reason


def test_a_decoder_is_checked_before_it_is_installed():
    """T9-1: every way to READY other than a hit leads through CHECK, PROVE and INSTALL, in this order."""
    from aeformat.transport.resolver import NEXT

    ways = [(State.LOOKUP,)]
    while ways:
        way = ways.pop()
        if way[-1] is State.READY and len(way) > 2:
            assert way[-4:] == (State.CHECK, State.PROVE, State.INSTALL, State.READY)
        ways += [(*way, to) for to in NEXT[way[-1]].values()]


def test_a_refusal_keeps_its_reason():
    """The user sees it in the error."""
    search = ModelResolver(b"x" * 32)
    search.on(Event.MISS)
    search.on(Event.HIT)
    assert search.on(Event.COSTS, "it does not pay") is State.REFUSED
    assert (search.is_over, search.reason) == (True, "it does not pay")
    with pytest.raises(KeyError):
        search.on(Event.DONE)


@pytest.mark.parametrize("slug", PROBLEMS)
def test_a_client_does_what_the_problem_says(slug):
    """T6-1, T6-2: the hint in the problem document counts, not the status."""
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
    """T6-3: the answer may be a proxy's."""
    assert Response(status, {"content-type": "text/html"}, b"<html>").retry == retry
    assert Response(status, {"content-type": PROBLEM_TYPE}, b'{"retry": "at once"}').retry == retry


def sending(named: dict[str, str]) -> UploadClient:
    """A client that is about to send 1,000 bytes with chunks that end at 300, 500 and 900."""
    client = UploadClient(UploadSource(1000, bytes(32), (300, 500, 900, 1000)), Retry(Random(1)))
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
    """T5-2; a chunk above the limit is split all the same."""
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
def test_success_is_believed_only_with_the_files_own_digest(named, ends):
    """T5-3: also if the server answers 201."""
    client = sending({})
    client.on(Response(201, {"upload-complete": "?1", **named}))

    assert isinstance(client.next(), ends)


def unhashed(size: int = 100 << 20) -> UploadClient:
    """A client that is about to send a large file whose digest it does not know yet."""
    client = UploadClient(UploadSource(size, None, range(0, size + 1, 1 << 20)), Retry(Random(1)))
    assert client.next().method == "POST"  # there is nothing to ask for
    client.on(Response(201, {"location": "/v1/uploads/u"}))
    return client


@pytest.mark.parametrize(
    ("found", "goes_on"),
    [
        (Response(404, {}), True),
        (Response(403, {}), True),
        (Response(500, {}), True),
        (Lost("cut"), True),
        (Response(200, {"repr-digest": repr_digest(SHA)}), False),
    ],
    ids=["404", "403", "500", "lost", "there"],
)
def test_the_server_is_probed_once_while_sending(found, goes_on):
    """T5-10: the file is sent in one request.

    Once the digest is known, a copy on the server ends it; no other answer does.
    """
    client = unhashed()
    assert (client.next().method, client.next().body) == ("PATCH", (0, 100 << 20))
    assert client.probe_while_sending() is None
    client.hashed(SHA)
    look = client.probe_while_sending()
    assert (look.method, look.path) == ("HEAD", f"v1/containers/{SHA.hex()}")
    client.on(found)
    assert (client.is_sending, client.probe_while_sending()) == (goes_on, None)
    if goes_on:
        client.on(Response(201, STORED))
    else:
        assert (client.next().method, client.next().path) == ("DELETE", "/v1/uploads/u")
        client.on(Response(204, {}))
    assert client.next() == Done(f"v1/containers/{SHA.hex()}", SHA)


def test_a_probe_while_sending_believes_no_other_digest():
    """T5-3: nothing is sent to a server that has other bytes under the name."""
    client = unhashed()
    client.next()
    client.hashed(SHA)
    client.probe_while_sending()
    client.on(Response(200, {"repr-digest": repr_digest(bytes(32))}))
    assert not client.is_sending
    assert isinstance(client.next(), Failed)


@pytest.mark.parametrize("dropped", [Response(204, {}), Response(500, {}), Lost("cut")], ids=["204", "500", "lost"])
def test_an_upload_of_a_stored_file_is_cancelled(dropped):
    """T5-10."""
    client = unhashed()
    client.hashed(SHA)
    client.next()
    client.on(Response(200, {"repr-digest": repr_digest(SHA)}))
    assert (client.next().method, client.next().path) == ("DELETE", "/v1/uploads/u")
    client.on(dropped)
    assert client.next() == Done(f"v1/containers/{SHA.hex()}", SHA)


@pytest.mark.parametrize("found", [Response(403, {}), Response(500, {}), Lost("cut")], ids=["403", "500", "lost"])
def test_a_probe_without_a_result_does_not_stop_the_upload(found):
    """A token that may write need not allow reading.  The upload goes on."""
    client = unhashed()
    client.hashed(SHA)
    assert client.next().method == "HEAD"
    client.on(found)
    assert (client.next().method, client.next().body) == ("PATCH", (0, 100 << 20))


@pytest.mark.parametrize(("own", "ends"), [(SHA, Done), (bytes(32), Failed)], ids=["its own", "another"])
def test_success_waits_for_the_files_own_digest(own, ends):
    """T5-3, if the final answer comes before the file is hashed."""
    client = unhashed(1000)
    client.next()
    client.on(Response(201, STORED))
    assert client.next() == Hash()
    client.hashed(own)
    assert isinstance(client.next(), ends)


def test_a_token_that_may_only_write_can_send():
    """T4-13: after a 403 to the probe nothing is known, so the file is sent."""
    client = UploadClient(UploadSource(1000, SHA), Retry(Random(1)))
    assert client.next().method == "HEAD"
    client.on(Response(403, {}))
    assert client.next().method == "POST"
