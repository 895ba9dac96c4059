"""An error of this machine's file or of a callback is no lost connection: it arrives as it is, and nothing is tried again."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import socket
from concurrent.futures import Future
from random import Random

import pytest
from transport.containers import latents

from aeformat import net
from aeformat.cli.main import main
from aeformat.net.client import http_client, transfer
from aeformat.net.client.aio import async_http_client, async_transfer
from aeformat.net.client.http_client import FileBody, HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.options import Options, ignore
from aeformat.net.client.pace import DEFAULT_TIMEOUTS
from aeformat.net.client.scan import scan_file
from aeformat.transport.messages import Lost, Request
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import UploadClient
from net.running import running, self_signed, upload

FILE = latents(2000, dims=64, chunk_rows=100)
SHA = hashlib.sha256(FILE).hexdigest()
LARGE = latents(10_000, dims=64, chunk_rows=100)  # more than one slice
BOTH = pytest.mark.parametrize("twin", ["blocking", "asyncio"])
LOOKALIKES = [BrokenPipeError, ConnectionResetError, TimeoutError, asyncio.TimeoutError, OSError]


class Failing(io.BytesIO):
    """A file on a disk whose bytes from 50,000 on cannot be read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.error = OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self, n: int | None = -1, /) -> bytes:
        if self.tell() + (n or 0) > 50_000:
            raise self.error
        return super().read(n)


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "root") as server:
        yield server


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    for client in (http_client, async_http_client):
        monkeypatch.setattr(client, "PIECE_BYTES", 1 << 16)


@pytest.fixture(autouse=True)
def failures(monkeypatch):
    """The failures that were counted to be tried again."""
    counted, failed = [], Retry.failed

    def counting(self, retry_after=None):
        counted.append(retry_after)
        return failed(self, retry_after)

    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.01)
    monkeypatch.setattr(Retry, "failed", counting)
    return counted


def send_file(twin: str, address: ServerAddress, body: FileBody, digest: Future[bytes] | None = None) -> None:
    """Send a body whose digest is known, or will be."""
    body.file.seek(0)
    scan = scan_file(io.BytesIO(body.file.getvalue()))
    sha256 = hashlib.sha256(body.file.getvalue()).digest() if digest is None else None
    if digest is None:
        digest = Future()
        digest.set_result(sha256)
    client = UploadClient(scan.source(sha256), Retry(Random(0)))
    if twin == "blocking":
        transfer.send_file(client, HttpClient(address, DEFAULT_TIMEOUTS), body, digest, ignore)
    else:
        http = async_http_client.AsyncHttpClient(address, DEFAULT_TIMEOUTS)
        asyncio.run(async_transfer.send_file(client, http, body, digest, ignore))


def call(twin: str, name: str, *arguments, progress) -> None:
    never = Options(policy="never")
    if twin == "blocking":
        getattr(net, name)(*arguments, never, progress=progress)
    else:
        asyncio.run(getattr(net, f"a{name}")(*arguments, never, progress=progress))


@BOTH
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_file_that_cannot_be_read(tmp_path, failures, twin, scheme):
    """Through the kernel's own sending, and piece by piece as for TLS."""
    files = self_signed(tmp_path) if scheme == "https" else None
    with running(tmp_path / "root", certificate=files) as server:
        address = ServerAddress.parse(server.url, ca_file=None if files is None else str(files[0]))
        file = Failing(FILE)
        with pytest.raises(OSError) as caught:
            send_file(twin, address, FileBody(file, ignore))
    assert caught.value is file.error
    assert failures == []


@BOTH
def test_a_file_that_becomes_shorter(server, tmp_path, failures, twin):
    """Sending it again is up to the user: this file is not the one that was scanned."""
    path = tmp_path / "source.aef"
    path.write_bytes(LARGE)

    def cutting(_what, n_bytes, _size):
        if n_bytes:
            os.truncate(path, 300_000)

    with pytest.raises(OSError, match="the file became shorter while it was sent; send it again"):
        call(twin, "send", path, server.url, progress=cutting)
    assert failures == []


def test_the_command_names_the_file(server, tmp_path, monkeypatch, capsys):
    """One line, exit code 1."""
    path = tmp_path / "source.aef"
    path.write_bytes(LARGE)

    monkeypatch.setattr("aeformat.cli.remote.ByteProgress.update", lambda *_: os.truncate(path, 300_000))
    assert main(["send", str(path), server.url, "--model-policy", "never"]) == 1
    said = f"aeformat: {path}: the file became shorter while it was sent; send it again\n"
    assert capsys.readouterr() == ("", said)


@BOTH
@pytest.mark.parametrize("kind", LOOKALIKES)
@pytest.mark.parametrize("name", ["send", "fetch"])
def test_a_progress_callback_that_fails(server, tmp_path, failures, twin, name, kind):
    """Also with an error that a socket can raise; its cause is kept."""
    path = tmp_path / "source.aef"
    path.write_bytes(FILE)
    if name == "fetch":
        upload(server, FILE)
    error, why = kind("of the callback"), ValueError()

    def failing(_what, n_bytes, _size):
        if n_bytes or name == "fetch":
            raise error from why

    arguments = (path, server.url) if name == "send" else (f"{server.url}v1/containers/{SHA}", tmp_path / "x")
    with pytest.raises(kind) as caught:
        call(twin, name, *arguments, progress=failing)
    assert caught.value is error and error.__cause__ is why
    assert failures == []


@BOTH
def test_a_digest_that_fails_while_the_file_is_sent(server, failures, twin):
    """T5-10: the thread that computes it reads the same disk."""
    digest, error = Future(), OSError(errno.EIO, os.strerror(errno.EIO))

    def sent(n_bytes):
        if n_bytes and not digest.done():
            digest.set_exception(error)

    with pytest.raises(OSError) as caught:
        send_file(twin, ServerAddress.parse(server.url), FileBody(io.BytesIO(LARGE), sent), digest)
    assert caught.value is error
    assert failures == []


def test_a_network_that_fails_is_lost(server, tmp_path, monkeypatch):
    """The kernel reads the file and sends it in one call: if the file can be read, it was the network."""
    path = tmp_path / "source.aef"
    path.write_bytes(FILE)

    def unreachable(*_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(socket.socket, "sendfile", unreachable)
    client = HttpClient(ServerAddress.parse(server.url), DEFAULT_TIMEOUTS)
    with path.open("rb") as file:
        found = client.request(Request("PATCH", "v1/uploads/0", {}, (0, len(FILE))), FileBody(file, ignore))
    assert isinstance(found, Lost) and "No route to host" in found.reason
