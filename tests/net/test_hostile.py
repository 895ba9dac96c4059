"""Requests that no honest client sends: the server refuses them with the status that spec/transport.md names, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import random
import re
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
import zstandard
from transport.containers import DECODER, latents

from aeformat.container.header import LatentsHeader
from aeformat.net.client.aio.async_http_client import AsyncHttpClient
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.pace import Timeouts
from aeformat.net.server.protocol import Connection
from aeformat.net.server.storage import CONTAINERS, Storage
from aeformat.transport.messages import Lost, Request
from net.running import running, upload
from net.test_tenants import SCOPES, write_tokens

FILE = latents(400, dims=32)
CHUNK_BYTES = 1 << 20
IMPATIENT = {"header_seconds": 0.6, "idle_seconds": 0.8, "rate_seconds": 1.0, "rate_bytes": 5000}
SLOW_SECONDS = 2.0  # in which 384 KiB are read: so long that a pause of a busy machine is short beside it


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("hostile") / "root", chunk_bytes=CHUNK_BYTES) as server:
        yield server
        assert server.request("GET", "v1/").status == 200


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A server that waits for nobody: only for tests of clients that are too slow on purpose."""
    limits = {**IMPATIENT, "chunk_bytes": CHUNK_BYTES}
    with running(tmp_path_factory.mktemp("impatient") / "root", **limits) as server:
        yield server
        assert server.request("GET", "v1/").status == 200


def crc(header_crc: int, number: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<II", header_crc, number)))


def with_payload(stored: bytes, raw_bytes: int, n_rows: int) -> bytes:
    """A latents file with one compressed chunk, good checksums and any payload, built by hand."""
    header = LatentsHeader(DECODER, (64,), (28, 28, 1), "u8", codec="zstd", filter="none").to_bytes()
    front = struct.pack("<8sBBHII", b"\x89AEF\r\n\x1a\n", 1, 0, 0, len(header), zlib.crc32(header))
    data = front + struct.pack("<I", zlib.crc32(front)) + header
    bound = zlib.crc32(header)
    chunk = struct.pack("<4sIQIII", b"ROWS", n_rows, 0, len(stored), raw_bytes, crc(bound, 0, stored))
    chunk += struct.pack("<I", crc(bound, 0, chunk))
    tail = struct.pack("<4sIQQI32s", b"TAIL", 1, n_rows, 0, zlib.crc32(chunk[-4:]), bytes(32))
    return data + chunk + stored + tail + struct.pack("<I", crc(bound, 1, tail))


def frame(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress(raw)


@pytest.mark.parametrize(
    ("stored", "raw_bytes", "status", "rule"),
    [
        (frame(bytes(64 << 20)), 64 << 20, 413, "C4-4"),
        (frame(bytes(64 << 20)), 1 << 20, 422, "C6-2"),
        (b"\x28\xb5\x2f\xfd\xa4" + (1 << 20).to_bytes(4, "little") + bytes(900), 1 << 20, 422, "C6-6"),
        (frame(bytes(1 << 20))[:-3] + b"abc", 1 << 20, 422, "C6-6"),
    ],
    ids=["states 64 MiB", "states less than it makes", "states more than it makes", "wrong checksum"],
)
def test_a_decompression_bomb_is_refused(server, stored, raw_bytes, status, rule):
    """T4-6: the checksums are right, so it is no damage of the transfer.  Memory is bounded by the limit on chunks."""
    before = server.rss()
    found = upload(server, with_payload(stored, raw_bytes, raw_bytes // 64))
    assert (found.status, found.problem["rule"]) == (status, rule)
    assert server.rss() - before < 32 << 20


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /v1/ HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(20_000)) + b"\r\n",
        b"nonsense\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nUpload-Complete: ?0\r\n\r\nzz\r\n",
    ],
    ids=["long line", "long field", "many fields", "nonsense", "two lengths", "negative length", "bad chunk"],
)
def test_bad_http_is_refused(server, head):
    """Section 6, last line: 400 or 431; if the body breaks off, the connection is closed."""
    found = server.raw(head)
    assert found.split(b" ")[1:2] in ([b"400"], [b"431"], [b"415"], [])


def test_slow_headers_are_cut_off(impatient):
    """A header that arrives byte by byte and never ends: the connection is closed after header_seconds."""
    with socket.create_connection(("127.0.0.1", impatient.port)) as sock:
        began = time.monotonic()
        sock.settimeout(0.05)
        with pytest.raises((ConnectionResetError, BrokenPipeError, EOFError)):
            for byte in b"GET /v1/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200:
                sock.sendall(bytes([byte]))
                try:
                    if not sock.recv(10):
                        raise EOFError
                except TimeoutError:
                    pass
        assert time.monotonic() - began < 10  # the whole takes 11


@pytest.mark.parametrize(
    "head",
    [
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET http://example.org/v1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/%ff%fe HTTP/1.0\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["connect", "upgrade", "absolute", "star", "nul", "no utf-8, 1.0", "coded", "two framings"],
)
def test_odd_requests_get_an_ordinary_answer(server, head):
    """A following request on the same connection is handled as a request of its own, if one is allowed."""
    follower = b"GET /v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    found = server.raw(head + follower)
    assert found[:9] == b"HTTP/1.1 " and found[9:12] in (b"200", b"400", b"404", b"405", b"421")
    assert found.count(b"HTTP/1.1 ") <= 2


def test_pipelined_requests_are_answered_in_order(server):
    """Two hundred requests at once, one with a body between them."""
    body = b'{"models": []}'
    ask = b"POST /v1/models:missing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    get = b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    found = server.raw(get * 100 + ask + get * 100 + last, seconds=120)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", found)
    assert statuses == [b"404"] * 100 + [b"200"] + [b"404"] * 100 + [b"200"]


def test_a_request_behind_a_body_that_came_by_itself_is_whole(server):
    """The next request may come before the answer to this one is sent: nothing of it is taken for this one's body."""
    body = b'{"models": []}'
    ask = b"POST /v1/models:missing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), 60) as sock:
            sock.sendall(ask)
            time.sleep(0.02)
            sock.sendall(body + ask)
            time.sleep(0.02)
            sock.sendall(body + b"GET /v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            found = b""
            while piece := sock.recv(65536):
                found += piece
        assert re.findall(rb"HTTP/1\.1 (\d+)", found) == [b"200"] * 3


def test_the_same_file_many_times_at_once(tmp_path):
    """T4-13: one blob, one record, and the quota is used once."""
    tokens = write_tokens(tmp_path / "tokens", {"a": ("acme", list(SCOPES), None)})
    with running(tmp_path / "root", tokens=tokens) as server:
        with ThreadPoolExecutor(8) as pool:
            assert {found.status for found in pool.map(lambda _: upload(server, FILE, "a"), range(8))} == {201}
        assert [path.read_bytes() == FILE for path in (tmp_path / "root").glob("objects/*/*")] == [True]
    storage = Storage(tmp_path / "root")
    assert storage.used("acme") == len(FILE)
    assert storage.delete("acme", CONTAINERS, hashlib.sha256(FILE).hexdigest()) and storage.used("acme") == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda url, timeouts: HttpClient(ServerAddress.parse(url), timeouts).request(Request("GET", "v1/")),
        lambda url, timeouts: asyncio.run(
            AsyncHttpClient(ServerAddress.parse(url), timeouts).request(Request("GET", "v1/"))
        ),
    ],
    ids=["blocking", "asyncio"],
)
def test_a_client_gives_up_a_server_that_is_too_slow(call):
    """T5-15: 1xx without end are no answer, however fast they come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                while True:
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(0.05)

        Thread(target=drip, daemon=True).start()
        timeouts = Timeouts(idle_seconds=2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        began = time.monotonic()
        found = call(url, timeouts)
        assert isinstance(found, Lost) and "no answer within 2 s" in found.reason and time.monotonic() - began < 60


@pytest.mark.parametrize("pause", [2.0, 0.1], ids=["stops", "trickles"])
def test_a_slow_body_is_cut_off_and_what_came_is_kept(impatient, pause):
    """408: nothing for idle_seconds, or less than rate_bytes a second.  The verified bytes are kept."""
    with socket.create_connection(("127.0.0.1", impatient.port)) as sock:
        head = (
            "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nContent-Type: application/vnd.aeformat\r\n"
        )
        sock.sendall(f"{head}Content-Length: {len(FILE)}\r\n\r\n".encode())
        sock.settimeout(pause)
        found = b""
        for at in range(0, 4000, 20):
            try:
                sock.sendall(FILE[at : at + 20])
                found = sock.recv(1000)
                break
            except TimeoutError:
                pass
        assert found.split(b" ")[1] == b"408"


def test_a_refusal_can_be_read_before_the_body_is_sent(server):
    """T6-4: the rest of a body is dropped for a while.

    Closing at once would reset the connection, and lose the answer.
    """
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            size = 16 << 20
            head = "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nContent-Type: text/plain\r\n"
            sock.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
            time.sleep(0.05)
            sock.sendall(bytes(size))
            sock.settimeout(60)
            assert sock.recv(65536).startswith(b"HTTP/1.1 415 ")


def test_a_client_that_is_gone_before_its_refusal_leaves_no_traceback(tmp_path, monkeypatch):
    """T6-4: the connection cannot be closed in part any more, because the client has reset it."""
    made = Connection.connection_made

    def gone(*_args) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    def made_and_reset(self, transport) -> None:
        made(self, transport)
        transport.write_eof = gone

    monkeypatch.setattr(Connection, "connection_made", made_and_reset)
    with running(tmp_path / "root", log=tmp_path / "log", **IMPATIENT) as server:
        assert server.raw(b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").startswith(
            b"HTTP/1.1 400 "
        )
        assert server.raw(b"NO\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert server.request("GET", "/v1/").status == 200
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and "Fatal" not in log


def test_a_body_without_end_is_dropped_for_a_while_only(impatient):
    """T6-4: for header_seconds; then the connection is reset."""
    with socket.create_connection(("127.0.0.1", impatient.port)) as sock:
        sock.sendall(b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 60:
                sock.sendall(bytes(100_000))
        assert time.monotonic() - began < 30


def test_a_client_that_becomes_slow_gets_everything(tmp_path):
    """Section 7: it was fast, so it gets large slices; then it receives a little more than 256 KiB in idle_seconds."""
    data = latents(60_000, dims=64, chunk_rows=1000)
    with running(tmp_path / "root", idle_seconds=SLOW_SECONDS, chunk_bytes=CHUNK_BYTES) as server:
        assert upload(server, data).status == 201
        line = f"GET /v1/containers/{hashlib.sha256(data).hexdigest()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            sock.connect(("127.0.0.1", server.port))
            sock.settimeout(120)
            sock.sendall(line.encode())
            found, slow_until = b"", 0.0
            while piece := sock.recv(1 << 16):
                found += piece
                if len(found) > 20_000_000:
                    slow_until = slow_until or time.monotonic() + 3 * SLOW_SECONDS
                    if time.monotonic() < slow_until:
                        time.sleep(len(piece) * SLOW_SECONDS / (3 << 17))
    assert found.endswith(data)


def test_a_client_that_does_not_read_is_cut_off(tmp_path):
    """Section 7: 256 KiB in idle_seconds, for at most 1 MiB.

    When the kernel's buffers are full, the connection is closed.
    """
    data = latents(60_000, dims=64, chunk_rows=1000)
    with running(tmp_path / "root", chunk_bytes=CHUNK_BYTES) as server:
        assert upload(server, data).status == 201
    line = f"GET /v1/containers/{hashlib.sha256(data).hexdigest()} HTTP/1.1\r\nHost: x\r\n\r\n"
    limits = {**IMPATIENT, "chunk_bytes": CHUNK_BYTES}
    with (
        running(tmp_path / "root", **limits) as server,
        socket.create_connection(("127.0.0.1", server.port)) as sock,
    ):
        sock.sendall(line.encode())
        time.sleep(6 * IMPATIENT["idle_seconds"])
        sock.settimeout(60)
        n_bytes = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(1 << 20):
                n_bytes += len(piece)
        assert n_bytes < len(data)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"models": 5}', b'{"models": ["x"]}', b'{"models": ["' + b"0" * 65 + b'"]}', b"[" * 50_000],
)
def test_a_malformed_models_missing_is_refused(server, body):
    """T2-5."""
    assert server.request("POST", "v1/models:missing", {}, body).status == 400


def test_a_models_missing_above_the_limits_is_refused(server):
    """T2-5: 1,000 models, and 128 KiB."""
    names = ",".join(f'"{i:064x}"' for i in range(1001))
    assert server.request("POST", "v1/models:missing", {}, f'{{"models": [{names}]}}'.encode()).status == 400
    assert server.request("POST", "v1/models:missing", {}, b" " * 200_000).status == 413


def test_noise_on_every_route_never_breaks_the_server(server):
    """A thousand random requests with the fields that the routes read, from a seed: each gets an answer below 500."""
    rng = random.Random(7)
    paths = [
        "v1/",
        "v1/uploads",
        "v1/uploads/" + "0" * 32,
        "v1/models:missing",
        "v1/containers/" + "0" * 64,
        "metrics",
        "x",
    ]
    names = [
        "Upload-Offset",
        "Upload-Complete",
        "Upload-Length",
        "Range",
        "If-Range",
        "Accept",
        "Content-Type",
        "Authorization",
    ]
    texts = [
        "",
        "?1",
        "?0",
        "0",
        "7",
        "-1",
        "9" * 30,
        "bytes=0-",
        "bytes=-",
        "*/*;q=x",
        "application/vnd.aeformat",
        "Bearer x",
    ]
    for number in range(1000):
        named = {rng.choice(names): rng.choice(texts) for _ in range(rng.randrange(5))}
        method = rng.choice(["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE"])
        body = rng.choice([None, b"", rng.randbytes(50)])
        found = server.request(method, rng.choice(paths), named, body)
        assert found.status < 500 or found.status == 503, (number, method, named)


def test_unknown_paths_share_one_label(server):
    """Labels of metrics come from routes, not from clients."""
    for i in range(50):
        server.request("GET", f"v1/invented/{i}", {"User-Agent": f"x{i}"})
    text = server.request("GET", "metrics").body.decode()
    assert "invented" not in text
    assert hashlib.sha256(FILE).hexdigest() not in text
