"""How large the requests of an upload are: what a proxy's 413 teaches outlives what the server says; files in one request."""

from __future__ import annotations

import hashlib
import json
from random import Random

import pytest

from aeformat.errors import Hint
from aeformat.transport.http_fields import PROBLEM_TYPE, repr_digest
from aeformat.transport.messages import Done, Failed, Lost, Request, Response, Wait
from aeformat.transport.problems import Problem, TransferUnfinished
from aeformat.transport.request_sizes import LEAST_BYTES, RequestSizes
from aeformat.transport.retry import LONGEST_WAITING, Retry
from aeformat.transport.upload_client import ONE_REQUEST_BYTES, UploadClient, UploadSource

MB = 1 << 20
CHUNK = 262_208
SIZE = 20 * CHUNK
ENDS = tuple(range(CHUNK, SIZE + 1, CHUNK))
SHA = hashlib.sha256(b"the file").digest()
LIMIT = {"upload-limit": "max-append-size=1073741824"}
STORED = Response(201, {"upload-complete": "?1", "repr-digest": repr_digest(SHA)})


class Behind:
    """A server that keeps all it gets, behind a proxy that refuses bodies of more than `most` bytes and does not say why."""

    def __init__(self, most: int) -> None:
        self.most, self.at, self.bodies = most, 0, []

    def answer(self, request: Request) -> Response:
        start, stop = request.body or (0, 0)
        self.bodies.append(stop - start)
        if stop - start > self.most:
            return Response(413, {"content-type": "text/html"}, b"<html>")
        if request.path.startswith("v1/containers"):
            return Response(404, {})
        if request.method == "POST":
            return STORED if stop else Response(201, {"location": "/v1/uploads/u", **LIMIT})
        self.at = stop or self.at
        return STORED if self.at == SIZE else Response(200 + 4 * (stop > 0), {"upload-offset": str(self.at), **LIMIT})


def run(client: UploadClient, server: Behind) -> Done | Failed:
    """The end of an upload that never has to wait."""
    while not isinstance(action := client.next(), Done | Failed):
        assert isinstance(action, Request) and len(server.bodies) < 100, action
        client.on(server.answer(action))
    return action


def test_what_a_proxy_refuses_is_halved_and_stays_so():
    """T6-5: each HEAD between the requests says max-append-size=1 GiB; a proxy of 1 MiB (nginx' default) is not asked again."""
    server = Behind(MB)
    assert isinstance(run(UploadClient(UploadSource(SIZE, SHA, ENDS), Retry(Random(1))), server), Done)
    bodies = [n_bytes for n_bytes in server.bodies if n_bytes]
    assert bodies == [SIZE, 10 * CHUNK, 5 * CHUNK, *[2 * CHUNK] * 10]


def test_what_is_known_of_a_proxy_is_used_at_once():
    """For the next file of a batch."""
    server, known = Behind(MB), UploadClient(UploadSource(SIZE, SHA, ENDS), Retry(Random(1)), most=3 * CHUNK)
    assert isinstance(run(known, server), Done)
    assert max(server.bodies) == 3 * CHUNK


@pytest.mark.parametrize(
    ("ends", "least"),
    [(ENDS, CHUNK), ((), LEAST_BYTES), ((SIZE - 9, SIZE), SIZE - 9)],
    ids=["chunks", "unknown", "one chunk"],
)
def test_a_proxy_that_takes_too_little_is_named_in_the_end(ends, least):
    """T6-5: the smallest request of use is one chunk, and 64 KiB; the error says what to do, and nothing is repeated."""
    server = Behind(least // 2)
    end = run(UploadClient(UploadSource(SIZE, SHA, ends), Retry(Random(1))), server)
    assert isinstance(end, Failed) and not isinstance(end.error, TransferUnfinished)
    assert f"a proxy in front of the server refuses a request of {min(b for b in server.bodies if b):,} bytes" in str(
        end.error
    )
    assert "client_max_body_size" in str(end.error) and end.error.status == 413
    bodies = [n_bytes for n_bytes in server.bodies if n_bytes]
    assert bodies == sorted(set(bodies), reverse=True) and least <= bodies[-1] < 2 * least + 9


def test_a_chunk_is_not_cut_because_of_a_proxy():
    """What is less than a chunk would not be kept: the next chunk alone is the smallest request of use."""
    sizes = RequestSizes(SIZE, (LEAST_BYTES, SIZE - 100, SIZE), most=LEAST_BYTES)
    assert (sizes.stop(0), sizes.stop(LEAST_BYTES)) == (LEAST_BYTES, SIZE - 100)
    sizes.learn("max-append-size=80000")
    assert sizes.stop(LEAST_BYTES) == 2 * LEAST_BYTES


def server_413(limit: str) -> Response:
    document = json.dumps(Problem("too-large", "a request is above the limits").document()).encode()
    return Response(413, {"content-type": PROBLEM_TYPE, "upload-limit": limit}, document)


def test_the_servers_own_413_counts_only_with_a_smaller_limit():
    """T6-5: then it is kept to; otherwise the server means what it says."""
    client = UploadClient(UploadSource(SIZE, SHA, ENDS), Retry(Random(1)), upload="/v1/uploads/u")
    asked = Response(200, {"upload-offset": "0"})
    client.on(asked)
    client.on(server_413("max-append-size=600000"))
    client.on(asked)
    assert client.next().body == (0, 2 * CHUNK)
    client.on(server_413("max-append-size=600000"))
    assert isinstance(client.next(), Failed) and "above the limits" in str(client.next().error)


@pytest.mark.parametrize(
    "named", [{"upload-limit": "max-append-size=1"}, {"upload-limit": f"max-append-size={LEAST_BYTES - 1}"}]
)
def test_a_server_that_takes_next_to_nothing_is_refused(named):
    """T5-14: 27,615 requests of one byte are no upload."""
    client = UploadClient(UploadSource(SIZE, SHA, ENDS), Retry(Random(1)))
    client.on(Response(404, {}))
    client.on(Response(201, {"location": "/v1/uploads/u", **named}))
    assert isinstance(client.next(), Failed) and "(max-append-size), and less than 65,536 is not sent" in str(
        client.next().error
    )


def test_a_file_that_fits_a_small_limit_is_sent_all_the_same():
    """T5-14: one request is enough."""
    client = UploadClient(UploadSource(900, None, ()), Retry(Random(1)))
    client.next()
    client.on(Response(201, {"location": "/v1/uploads/u", "upload-limit": "max-append-size=1000"}))
    assert client.next().body == (0, 900)


def small(**more: object) -> UploadClient:
    """A client that sends a small file."""
    return UploadClient(UploadSource(5000, SHA, (900, 5000)), Retry(Random(1)), **more)


def test_a_small_file_is_one_question_and_one_request():
    """T5-11."""
    client = small()
    assert client.next().method == "HEAD"
    client.on(Response(404, {}))
    request = client.next()
    assert (request.method, request.path, request.body) == ("POST", "v1/uploads", (0, 5000))
    assert request.fields["Upload-Complete"] == "?1" and "Upload-Length" not in request.fields
    client.on(STORED)
    assert client.next() == Done(f"v1/containers/{SHA.hex()}", SHA)


def test_a_file_that_is_most_likely_new_is_not_asked_for():
    """T5-11: for the small files of a batch the question costs as much as the file."""
    assert small(is_new=True).next().method == "POST"


@pytest.mark.parametrize(
    "source", [UploadSource(5000, None), UploadSource(ONE_REQUEST_BYTES + 1, SHA)], ids=["no digest", "large"]
)
def test_other_files_can_be_resumed(source):
    """T5-11: what is larger, or has no digest yet, is created first."""
    client = UploadClient(source, Retry(Random(1)), is_new=True)
    assert (client.next().method, client.next().body) == ("POST", (0, 0))


@pytest.mark.parametrize(
    "found", [Lost("cut"), Response(409, {}), Response(413, {}), server_413("max-append-size=70000")], ids=str
)
def test_one_request_that_fails_is_not_repeated_as_it_was(found):
    """T5-11: at most one upload is left behind whose place nobody was told; the next try can be resumed."""
    client = UploadClient(UploadSource(100_000, SHA, (70_000, 100_000)), Retry(Random(1)), is_new=True)
    client.on(found)
    if isinstance(client.next(), Wait):
        client.go_on()
    assert (client.next().method, client.next().body) == ("POST", (0, 0))


def test_a_server_that_keeps_a_part_of_one_request_is_sent_the_rest():
    """201 with ?0: a server need not take all of it at once."""
    client = small(is_new=True)
    client.on(Response(201, {"upload-complete": "?0", "upload-offset": "900", "location": "/v1/uploads/u"}))
    assert (client.next().method, client.next().body) == ("PATCH", (900, 5000))


def test_the_refusal_of_one_request_is_final():
    """422 is 422, and so is a 413 to a request without a body."""
    client = small(is_new=True)
    client.on(Response(422, {}))
    assert isinstance(client.next(), Failed)
    client = UploadClient(UploadSource(SIZE, SHA, ENDS), Retry(Random(1)), is_new=True)
    client.next()
    client.on(Response(413, {}))
    assert isinstance(client.next(), Failed)


@pytest.mark.parametrize(
    ("asked_for", "said"), [("3601", "1 h 1 min"), ("86399", "24 h 0 min"), ("2592000", "720 h 0 min")], ids=str
)
def test_room_that_comes_after_any_wait_is_not_waited_for(asked_for, said):
    """T8-3: one try, and what the caller can do.  503 is waited for as ever, and so is what an hour has room for."""
    client = small(is_new=True)
    client.on(Response(429, {"retry-after": asked_for}))
    error = client.next().error
    assert isinstance(error, TransferUnfinished) and (error.status, error.hint) == (429, Hint.DROP_UPLOADS)
    assert f"there is room in {said}, or once an open upload ends" in str(error)
    for status, seconds in ((503, asked_for), (429, "3600"), (429, "x")):
        client = small(is_new=True)
        client.on(Response(status, {"retry-after": seconds}))
        assert isinstance(client.next(), Wait)
    client.go_on()
    client.on(Response(429, {"retry-after": "3600"}))  # a part of the hour is spent
    assert isinstance(client.next(), Failed)


def test_waits_without_progress_have_a_total():
    """T8-3: a server that says "in an hour" each time is waited for once; progress begins a new hour."""
    retry = Retry(Random(1))
    assert retry.failed(1e9) == LONGEST_WAITING and retry.failed(1e9) is None
    assert retry.spent == "2 tries and 3600 s of waiting without progress"
    retry.progress()
    waits = [retry.failed(1500.0) for _ in range(4)]
    assert sum(waits[:3]) == LONGEST_WAITING and waits[3] is None
