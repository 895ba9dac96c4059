"""Downloads over a faulty connection: the file is complete and verified, or it is not there."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.transport import http_fields
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.http_fields import ContentRange
from aeformat.transport.messages import Cut, Done, Failed, Lost, Request, Response, Wait
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry
from transport.containers import ends, latents
from transport.world import LIMITS, lower_case

FILE = latents(60)
SHA = hashlib.sha256(FILE).digest()
PATH = f"v1/containers/{SHA.hex()}"
FAULTS = ("none", "cut", "flip", "lost", "200 for 206", "wrong range", "duplicate", "416", "503", "coded", "restart")


class Source:
    """A server that serves FILE, with one fault at a time."""

    def __init__(self, client: FetchClient) -> None:
        self.client, self.partial = client, bytearray()
        self.n_sent = 0

    def step(self, fault: str, where: float) -> None:
        client, action = self.client, self.client.next()
        if fault == "restart" and not isinstance(action, Done | Failed):
            client = self.client = FetchClient(PATH, Retry(Random(3)), limits=LIMITS, sha256=SHA)
            client.restore(bytes(self.partial))
            del self.partial[client.restored() :]
            return
        if isinstance(action, Wait):
            client.go_on()
        elif isinstance(action, Cut):
            del self.partial[action.at :]
            client.go_on()
        elif isinstance(action, Request):
            self.answer(action, fault, where)

    def answer(self, request: Request, fault: str, where: float) -> None:
        head = {
            "ETag": http_fields.entity_tag(SHA),
            "Repr-Digest": http_fields.repr_digest(SHA),
            "Content-Length": str(len(FILE)),
        }
        if fault == "lost":
            self.client.on(Lost("cut"))
            return
        if fault in ("416", "503"):
            self.client.on(Response(int(fault), {}))
            return
        if fault == "coded":
            head["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            self.client.on(Response(200, lower_case(head)))
            return
        start, status = 0, 200
        if "Range" in request.fields:
            assert request.fields["If-Range"] == http_fields.entity_tag(SHA)
            start, status = int(request.fields["Range"][6:-1]), 206
            claimed = max(0, start - 1) if fault == "wrong range" else start
            head["Content-Range"] = str(ContentRange(claimed, len(FILE), len(FILE)))
        if fault == "200 for 206":
            start, status = 0, 200
        body = bytearray(FILE[start:])
        if fault == "flip" and body:
            body[int(where * (len(body) - 1))] ^= 4
        if fault == "duplicate":
            body += body[-50:]
        if fault == "cut":
            del body[int(where * len(body)) :]
        if not self.client.on(Response(status, lower_case(head))):
            return
        for at in range(0, len(body), 300):
            piece = bytes(body[at : at + 300])
            self.partial += piece
            self.n_sent += len(piece)
            if not self.client.data(piece):
                return
        self.client.ended()


@settings(max_examples=600, deadline=None, database=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(FAULTS), st.floats(0, 1)), max_size=20))
def test_a_download_ends_with_the_right_bytes_or_with_an_error(faults):
    """T3-3, T5-4 (the fault "coded"): whatever the faults, Done comes only with the right file; when they stop, it comes."""
    source = Source(FetchClient(PATH, Retry(Random(1)), limits=LIMITS, sha256=SHA))
    for fault, where in [*faults, *[("restart", 0.0)], *[("none", 0.0)] * 30]:
        source.step(fault, where)
        if isinstance(source.client.next(), Done):
            break
    end = source.client.next()
    if isinstance(end, Failed):
        assert isinstance(end.error, TransferFailed)
    else:
        assert end == Done(PATH, SHA)
        assert bytes(source.partial) == FILE


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_flipped_bit_costs_its_chunk(where):
    """T5-6: all chunks before it are kept."""
    source = Source(FetchClient(PATH, Retry(Random(1)), limits=LIMITS, sha256=SHA))
    source.step("none", 0)
    source.step("flip", where)
    assert isinstance(source.client.next(), Cut)
    good = max(end for end in ends(FILE) if end <= where * (len(FILE) - 1))
    assert source.client.verified_at == good
    while not isinstance(source.client.next(), Done):
        source.step("none", 0)
    assert bytes(source.partial) == FILE


def test_giving_up_keeps_the_verified_bytes():
    """T8-2: after eight failures in a row."""
    source = Source(FetchClient(PATH, Retry(Random(1)), limits=LIMITS, sha256=SHA))
    source.step("none", 0)
    source.step("cut", 0.6)
    while not isinstance(source.client.next(), Failed):
        source.step("lost", 0)
    assert isinstance(source.client.next().error, TransferUnfinished)
    assert source.client.verified_at > 0


def test_another_digest_is_refused():
    """T5-7: the server may not name another digest for the blob."""
    client = FetchClient(PATH, Retry(Random(1)), limits=LIMITS, sha256=hashlib.sha256(b"other").digest())
    client.next()
    client.on(Response(200, lower_case({"Repr-Digest": http_fields.repr_digest(SHA), "Content-Length": "10"})))
    assert "other bytes" in str(client.next().error)


@pytest.mark.parametrize("span", ["bytes {}-{}/{}", "bytes {}-{}/*", "nonsense", None])
def test_a_206_that_begins_elsewhere_is_not_appended(span):
    """T5-5: none of its bytes are used."""
    source = Source(FetchClient(PATH, Retry(Random(1)), limits=LIMITS, sha256=SHA))
    source.step("none", 0)
    source.step("cut", 0.6)
    source.step("none", 0)
    source.step("none", 0)
    start = source.client.verified_at
    named = {} if span is None else {"Content-Range": span.format(start - 1, len(FILE) - 1, len(FILE))}
    assert source.client.on(Response(206, lower_case(named))) is False
    assert isinstance(source.client.next(), Wait)


def test_identity_is_requested_and_any_other_coding_refused():
    """T5-4, for HEAD and GET."""
    source = Source(FetchClient(PATH, Retry(Random(1)), limits=LIMITS, sha256=SHA))
    for method in ("HEAD", "GET"):
        request = source.client.next()
        assert (request.method, request.fields["Accept-Encoding"]) == (method, "identity")
        source.step("coded", 0)
        assert isinstance(source.client.next(), Wait) and not source.partial
        source.step("none", 0)
        source.step("none", 0)
