"""Uploads over HTTP: section 4 of spec/transport.md."""

from __future__ import annotations

import hashlib
import io
import socket
from dataclasses import replace

import pytest
from container.files import split
from transport.containers import ends, latents

from aeformat.errors import ContentMismatch
from aeformat.reader import stream_latents
from aeformat.transport import http_fields
from aeformat.transport.messages import resolved
from aeformat.transport.transfer_limits import DEFAULT
from net.running import running, until, upload

FILE = latents(400, dims=32)
SHA = hashlib.sha256(FILE).digest()
ENDS = ends(FILE)
PARTIAL = "application/partial-upload"
SMALL = {"chunk_bytes": 1 << 16, "max_size": 1 << 20, "idle_seconds": 2.0, "uploads": 3}


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "root", **SMALL) as server:
        yield server


def create(server, **more):
    found = server.request("POST", "v1/uploads", {"Upload-Complete": "?0", **more}, b"")
    assert found.status == 201
    return "/" + resolved("v1/uploads", found.get("Location"))


def patch(server, where, at, data, *, last=False, **more):
    named = {"Upload-Offset": str(at), "Upload-Complete": "?1" if last else "?0", "Content-Type": PARTIAL, **more}
    return server.request("PATCH", where, named, data)


def slug(found):
    return found.problem["type"].rsplit(":", 1)[-1].rsplit("#", 1)[-1]


def test_a_container_in_pieces(server):
    """T4-1: a request that ends at a chunk's end is acknowledged whole.  The last answer names path and digest."""
    where = create(server, **{"Upload-Length": str(len(FILE))})
    middle = ENDS[3]
    first = patch(server, where, 0, FILE[:middle])
    assert (first.status, first.get("Upload-Offset"), first.get("Upload-Complete")) == (204, str(middle), "?0")
    last = patch(server, where, middle, FILE[middle:], last=True)
    assert (last.status, last.get("Upload-Complete")) == (201, "?1")
    assert last.get("Content-Location") == f"../../v1/containers/{SHA.hex()}"
    assert last.get("Repr-Digest") == http_fields.repr_digest(SHA)
    assert server.request("GET", "v1/" + last.get("Content-Location").removeprefix("../../v1/")).status == 200


def test_a_content_id_that_is_wrong_is_stored_as_it_was_sent_and_refused_by_its_reader(server):
    """T4-2: the digest in the answer proves the bytes, nothing else.  A reader of all rows finds C9-6."""
    data = replace(split(latents(40)), content_id=bytes(32)).join()
    found = upload(server, data)
    assert (found.status, found.get("Repr-Digest")) == (201, http_fields.repr_digest(hashlib.sha256(data).digest()))
    back = server.request("GET", found.get("Content-Location")).body
    assert back == data
    with pytest.raises(ContentMismatch, match="C9-6"):
        list(stream_latents(io.BytesIO(back)))


def test_head_repeats_a_lost_answer(server):
    """T4-11."""
    where = create(server)
    patch(server, where, 0, FILE, last=True)
    found = server.request("HEAD", where)
    assert (found.get("Upload-Complete"), found.get("Repr-Digest")) == ("?1", http_fields.repr_digest(SHA))
    more, again = patch(server, where, 0, FILE, last=True), patch(server, where, len(FILE), b"", last=True)
    assert (more.status, slug(more)) == (400, "inconsistent-upload-length")
    assert (again.status, slug(again)) == (400, "completed-upload")
    assert again.problem["type"] == "urn:aeformat:problem:completed-upload"  # of ours since the draft dropped it


def test_an_unaligned_tail_is_never_acknowledged(server):
    """T4-3, T4-4: the offset is the end of the last whole chunk, also for HEAD.  A client that ignores it gets 409."""
    where = create(server)
    cut = ENDS[4] + 100
    found = patch(server, where, 0, FILE[:cut])
    assert (found.status, found.get("Upload-Offset")) == (204, str(ENDS[4]))
    assert server.request("HEAD", where).get("Upload-Offset") == str(ENDS[4])
    stubborn = patch(server, where, cut, FILE[cut:], last=True)
    assert (stubborn.status, slug(stubborn)) == (409, "mismatching-upload-offset")
    assert stubborn.get("Upload-Offset") == str(ENDS[4])
    assert patch(server, where, ENDS[4], FILE[ENDS[4] :], last=True).status == 201


def test_damage_costs_a_chunk_and_the_third_time_the_upload(server):
    """T4-5."""
    bad = bytearray(FILE)
    bad[ENDS[5] + 200] ^= 1
    where = create(server)
    first = patch(server, where, 0, bytes(bad), last=True)
    assert (first.status, slug(first), first.get("Upload-Offset")) == (409, "chunk-damaged", str(ENDS[5]))
    assert first.problem["rule"] == "C4-11"
    rest = bytes(bad[ENDS[5] :])
    assert patch(server, where, ENDS[5], rest, last=True).status == 409
    third = patch(server, where, ENDS[5], rest, last=True)
    assert (third.status, slug(third)) == (422, "damaged-again")
    assert server.request("HEAD", where).status == 422


def test_a_file_that_ends_early_is_not_complete(server):
    """T4-7."""
    where = create(server)
    found = patch(server, where, 0, FILE[:-10], last=True)
    assert (found.status, slug(found), found.get("Upload-Offset")) == (409, "upload-truncated", str(ENDS[-2]))


@pytest.mark.parametrize(
    ("change", "status", "name"),
    [
        ({"Upload-Length": "5000000"}, 413, "too-large"),
        ({"Upload-Complete": "yes"}, 400, "bad-request"),
        ({"Repr-Digest": "sha-256=:AAAA:"}, 400, "bad-request"),
    ],
)
def test_what_cannot_be_created(server, change, status, name):
    """Sections 4 and 7; T4-14."""
    found = server.request("POST", "v1/uploads", {"Upload-Complete": "?0", **change}, b"")
    assert (found.status, slug(found)) == (status, name)
    if status == 413:
        assert "max-size=1048576" in found.get("Upload-Limit")


@pytest.mark.parametrize(
    ("change", "data", "status", "name"),
    [
        ({"Content-Type": "text/plain"}, b"x", 415, "unsupported-media-type"),
        ({"Content-Encoding": "gzip"}, b"x", 415, "unsupported-media-type"),
        ({"Upload-Offset": "1"}, b"x", 409, "mismatching-upload-offset"),
        ({"Upload-Offset": "x"}, b"x", 400, "bad-request"),
        ({"Upload-Length": "7"}, FILE, 400, "inconsistent-upload-length"),
        ({}, b"PK\3\4 no container" * 10, 409, "chunk-damaged"),
        ({}, bytes(2 << 20), 413, "too-large"),
    ],
)
def test_what_cannot_be_appended(server, change, data, status, name):
    """Sections 4 and 7; T6-4: a body that cannot be good is answered before all of it was read."""
    found = patch(server, create(server), 0, data, **change)
    assert (found.status, slug(found)) == (status, name)


def test_too_many_uploads(server):
    """T4-23: 429 with a Retry-After that is true, and what helps."""
    where = [create(server) for _ in range(3)]
    found = server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"")
    assert (found.status, slug(found)) == (429, "too-many-uploads")
    assert 500 < int(found.get("Retry-After")) <= DEFAULT.empty_age  # the three hold nothing
    assert "GET v1/uploads" in found.problem["detail"] and "DELETE" in found.problem["detail"]
    assert server.request("DELETE", where[0]).status == 204
    assert server.request("HEAD", where[0]).status == 410
    create(server)


def test_a_chunk_above_the_limit_is_refused_before_it_is_received(tmp_path):
    """T4-6."""
    with running(tmp_path / "root", chunk_bytes=1000) as server:
        found = upload(server, FILE)
        assert (found.status, slug(found), found.problem["rule"]) == (413, "too-large", "C4-4")


def test_a_newer_request_does_not_wait_for_the_older(server, tmp_path):
    """T4-9: the first request is open and silent.  The second goes on at once, and the first one is refused."""
    where = create(server)
    with socket.create_connection(("127.0.0.1", server.port)) as old:
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
        old.sendall(
            f"{head}Content-Type: {PARTIAL}\r\nContent-Length: {len(FILE)}\r\n\r\n".encode() + FILE[: ENDS[2] + 9]
        )
        staged = tmp_path / "root" / "uploads" / where.rsplit("/", 1)[-1] / "data"
        until(staged.exists)  # then the first request has begun
        at = int(server.request("HEAD", where).get("Upload-Offset"))
        assert patch(server, where, at, FILE[at:], last=True).status == 201
        old.sendall(FILE[ENDS[2] + 9 :])
        old.settimeout(30)
        assert b" 409 " in old.recv(65536)
    assert server.request("GET", f"v1/containers/{SHA.hex()}").status == 200


def test_a_stored_blob_survives_a_kill(tmp_path):
    """T4-10, T4-11, after kill -9 and a restart."""
    with running(tmp_path / "root") as server:
        where = create(server)
        assert patch(server, where, 0, FILE, last=True).status == 201
    with running(tmp_path / "root") as server:
        assert server.request("HEAD", f"v1/containers/{SHA.hex()}").status == 200
        assert server.request("HEAD", where).get("Upload-Complete") == "?1"


def test_a_server_that_is_told_to_stop_lets_requests_end_for_a_time(tmp_path):
    """T7-2: no new connection is accepted.  A request that does not end is cut off, and its verified bytes are kept."""
    with running(tmp_path / "root", drain_seconds=1) as server:
        where = create(server)
        staged = tmp_path / "root" / "uploads" / where.rsplit("/", 1)[-1] / "data"
        with socket.create_connection(("127.0.0.1", server.port)) as old:
            head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
            head += f"Content-Type: {PARTIAL}\r\nContent-Length: {len(FILE)}\r\n\r\n"
            old.sendall(head.encode() + FILE[: ENDS[2] + 9])
            until(staged.exists)
            server.process.terminate()
            server.process.join(60)
            assert not server.process.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), 5)
    with running(tmp_path / "root") as again:
        assert again.request("HEAD", where).get("Upload-Offset") == str(ENDS[2])
