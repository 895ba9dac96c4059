"""Deleting blobs of tenants: T2-10 of spec/transport.md."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket

import pytest
from transport.containers import latents

from aeformat.model import store
from aeformat.model.file_io import package_bytes
from aeformat.net.server.storage import CONTAINERS, Storage
from net.running import Dying, running, upload
from net.test_tenants import SCOPES, write_tokens

FILE = latents(400, dims=32)
SHA = hashlib.sha256(FILE).hexdigest()
PATH = f"v1/containers/{SHA}"
TOKENS = {
    "a": ("acme", list(SCOPES), None),
    "b": ("beta", list(SCOPES), None),
    "writer": ("acme", ["uploads:write", "containers:read"], None),
    "small": ("small", list(SCOPES), None),  # has room for FILE once
}


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "root", tokens=write_tokens(tmp_path / "tokens", TOKENS)) as server:
        yield server


def blobs(root):
    return sorted(path.name for path in root.glob("objects/*/*"))


def test_the_bytes_go_with_their_last_tenant(server, tmp_path):
    """Each tenant deletes for itself.  A tenant cannot tell another tenant's blob from one that does not exist."""
    assert upload(server, FILE, "a").status == upload(server, FILE, "b").status == 201
    assert server.request("DELETE", PATH, token="writer").status == 403
    assert server.request("DELETE", PATH, token="nobody").status == 401
    assert server.request("DELETE", PATH, token="small").status == 404

    assert server.request("DELETE", PATH, token="a").status == 204
    assert server.request("GET", PATH, token="a").status == 404
    assert server.request("GET", PATH, token="b").status == 200
    assert blobs(tmp_path / "root") == [SHA]
    assert server.request("DELETE", PATH, token="a").status == 404

    assert server.request("DELETE", PATH, token="b").status == 204
    assert blobs(tmp_path / "root") == []
    assert upload(server, FILE, "a").status == 201
    assert server.request("GET", PATH, token="a").status == 200


def test_the_quota_is_free_again(server):
    """Deleting frees the quota at once, each time."""
    for seed in range(3):
        data = latents(400, dims=32, seed=seed)
        assert upload(server, data, "small").status == 201
        assert upload(server, latents(400, dims=32, seed=9), "small").status == 507
        assert (
            server.request("DELETE", f"v1/containers/{hashlib.sha256(data).hexdigest()}", token="small").status == 204
        )


def test_the_upload_of_a_deleted_blob_is_dropped(server):
    """T4-11: no upload names a deleted blob, and a restart does not bring it back."""
    where = server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"", "a").get("Location")
    named = {"Upload-Offset": "0", "Upload-Complete": "?1", "Content-Type": "application/partial-upload"}
    assert server.request("PATCH", where, named, FILE, "a").status == 201
    assert server.request("DELETE", PATH, token="a").status == 204
    assert server.request("HEAD", where, token="a").status == 404


def test_a_download_that_has_begun_is_finished(tmp_path):
    """A client that is reading the blob gets all of its bytes."""
    data = latents(40_000, dims=64, chunk_rows=1000)
    path = f"v1/containers/{hashlib.sha256(data).hexdigest()}"
    with running(tmp_path / "root") as server:
        assert upload(server, data).status == 201
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            found = sock.recv(1000)
            assert server.request("DELETE", path).status == 204
            assert blobs(tmp_path / "root") == []
            while piece := sock.recv(1 << 20):
                found += piece
        assert found.split(b"\r\n\r\n", 1)[1] == data


def test_a_deleted_decoder_renders_no_more_rows(tmp_path):
    """T2-8: even if it was loaded."""
    from net.test_api import digits

    container, decoder = digits(3), store.find_pair("mnist-exact")[1]
    rows = f"v1/containers/{hashlib.sha256(container).hexdigest()}?rows=0"
    with running(tmp_path / "root") as server:
        assert upload(server, container).status == upload(server, package_bytes(decoder, level=1)).status == 201
        assert server.request("GET", rows).status == 200
        assert server.request("DELETE", f"v1/models/{decoder.model_id.hex()}").status == 204
        assert server.request("GET", rows).status == 409
        assert server.request(
            "POST", "v1/models:missing", {}, json.dumps({"models": [decoder.model_id.hex()]}).encode()
        ).body


def test_whatever_step_it_dies_at_the_blob_is_whole_or_gone(tmp_path):
    """kill -9 at each step on the disk: after a restart the blob is complete or gone.  Another blob stays."""
    seen = set()
    for n_steps in range(1, 100):
        root, tokens = tmp_path / str(n_steps), write_tokens(tmp_path / "tokens", TOKENS)
        other = latents(10)
        with running(root, tokens=tokens) as server:
            for data, token in ((FILE, "a"), (other, "a"), (other, "b")):
                assert upload(server, data, token).status == 201
        with running(root, tokens=tokens, disk=Dying(n_steps)) as server:
            for data in (FILE, other):
                if not server.is_up or server.process.exitcode is not None:
                    break
                line = f"DELETE /v1/containers/{hashlib.sha256(data).hexdigest()} HTTP/1.1\r\nHost: x\r\n"
                server.raw(f"{line}Authorization: Bearer a\r\nConnection: close\r\n\r\n".encode())
            server.process.join(1)
            died = not server.process.is_alive()
        with running(root, tokens=tokens) as server:
            found = [
                server.request("GET", f"v1/containers/{hashlib.sha256(d).hexdigest()}", token="a")
                for d in (FILE, other)
            ]
            seen.add(tuple(f.status for f in found))
            assert server.request("GET", f"v1/containers/{hashlib.sha256(other).hexdigest()}", token="b").body
            kept = {hashlib.sha256(other).hexdigest(), *([SHA] if found[0].status == 200 else [])}
            assert set(blobs(root)) == kept
        if not died:
            break
    assert seen >= {(200, 200), (404, 200), (404, 404)}


def test_leftovers_are_removed_at_the_start(tmp_path):
    """Nothing of a tenant whose folder was removed comes back: not its blobs, nor the results of its uploads."""
    root = tmp_path / "root"
    with running(root, tokens=write_tokens(tmp_path / "tokens", TOKENS)) as server:
        assert upload(server, FILE, "a").status == upload(server, latents(10), "b").status == 201
    shutil.rmtree(root / "tenants" / "acme")
    storage = Storage(root)
    assert blobs(root) == [hashlib.sha256(latents(10)).hexdigest()]
    assert storage.find("acme", CONTAINERS, SHA) is None
    assert not storage.delete("acme", CONTAINERS, SHA)
    assert len(list(storage.uploads())) == 1
