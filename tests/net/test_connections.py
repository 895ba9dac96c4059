"""How many connections there may be, and whose place is taken: T7-3 and T7-4 of spec/transport.md."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import re
import socket
import ssl
from pathlib import Path

import pytest
from transport.containers import latents

from aeformat.errors import UsageError
from aeformat.net.server import accepting, file_handles
from aeformat.net.server.accepting import Acceptor
from aeformat.net.server.connection_table import REFUSED, ConnectionTable
from net.running import running, self_signed, until, upload
from net.test_uploads import PARTIAL, create

resource = pytest.importorskip("resource", reason="this system has no limit on open files")

FILE = latents(400, dims=32)
ASK = b"GET /v1/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PATIENT = 600.0  # seconds; nobody is cut off for being slow
HANDLES = 256  # that the system allows, in these tests


@pytest.fixture
def few_handles(monkeypatch):
    """Servers that the system allows HANDLES open files, and no more."""

    def lowered(wanted: int) -> int:
        resource.setrlimit(resource.RLIMIT_NOFILE, (HANDLES, HANDLES))
        return file_handles.connections_possible(wanted)

    monkeypatch.setattr("aeformat.net.server.run.connections_possible", lowered)


def asked(server, context: ssl.SSLContext | None) -> int:
    """The status of a request on a new connection."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 120))
        if context is not None:
            sock = stack.enter_context(context.wrap_socket(sock))
        sock.sendall(ASK)
        return answer_on(sock)


def answer_on(sock: socket.socket) -> int:
    """Read one answer to its end.  Returns its status."""
    found = http.client.HTTPResponse(sock)
    found.begin()
    found.read()
    return found.status


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
def test_idle_connections_above_the_limit_on_open_files_lock_nobody_out(tmp_path, few_handles, is_tls):
    """T7-3, T7-4: they send no byte, and no handshake.  Every request in between is answered; nothing is logged of it."""
    certificate = self_signed(tmp_path) if is_tls else None
    context = ssl._create_unverified_context() if is_tls else None
    log = tmp_path / "log"
    with (
        running(tmp_path / "root", certificate=certificate, header_seconds=PATIENT, log=log) as server,
        contextlib.ExitStack() as stack,
    ):
        for number in range(HANDLES + 80):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 120))
            if number % 20 == 0:
                assert asked(server, context) == 200
        assert asked(server, context) == 200
        if Path("/proc/self/fd").exists():
            assert len(list(Path(f"/proc/{server.pid}/fd").iterdir())) < HANDLES
    lines = log.read_text().splitlines()
    assert "at most 32 connections at a time, not 500" in lines[0]
    assert len(lines) < 40 and "cannot accept" not in log.read_text()


def test_a_connection_above_the_limit_takes_the_place_of_the_one_that_waited_longest(tmp_path):
    """T7-3: of those without a request.  A kept connection that had one waits since then."""
    with running(tmp_path / "root", connections=4, header_seconds=PATIENT) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 120)) for _ in range(4)]
        socks[0].sendall(b"GET /v1/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_on(socks[0]) == 200
        assert asked(server, None) == 200
        assert socks[1].recv(1) == b""
        for sock in (socks[0], *socks[2:]):
            sock.sendall(ASK)
            assert answer_on(sock) == 200


def test_connections_with_a_request_keep_their_place(tmp_path):
    """T7-3: then others are 503.  They do not stay open for long, nor in numbers; then there is place again."""
    with running(tmp_path / "root", connections=3, idle_seconds=PATIENT) as server, contextlib.ExitStack() as stack:
        busy = []
        for _ in range(3):
            where = create(server)
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 120))
            head = f"PATCH {where} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
            sock.sendall(f"{head}Content-Type: {PARTIAL}\r\nContent-Length: {len(FILE)}\r\n\r\n".encode() + FILE[:-9])
            until((tmp_path / "root" / "uploads" / where[-32:] / "data").exists)
            busy.append(sock)
        refused = []
        for _ in range(REFUSED + 20):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 120))
            with contextlib.suppress(ConnectionResetError):  # one of those that are closed at once
                refused.append(sock.recv(100)[9:12])
        assert refused[:REFUSED] == [b"503"] * REFUSED and set(refused[REFUSED:]) <= {b""}
        for sock in busy:
            sock.sendall(FILE[-9:])
            assert answer_on(sock) == 201
        assert upload(server, FILE).status == 201
        text = server.request("GET", "metrics").body.decode()
        assert int(re.search(r"^aeformat_connections_refused (\d+)$", text, re.M)[1]) >= REFUSED + 20


def test_a_handshake_that_does_not_come_is_given_up(tmp_path):
    """Section 7: after as long as a header may take."""
    with (
        running(tmp_path / "root", certificate=self_signed(tmp_path), header_seconds=0.5) as server,
        socket.create_connection(("127.0.0.1", server.port), 120) as silent,
        socket.create_connection(("127.0.0.1", server.port), 120) as nonsense,
    ):
        nonsense.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while nonsense.recv(100):  # an alert, perhaps
            pass
        assert silent.recv(1) == b""
        assert asked(server, ssl._create_unverified_context()) == 200


def test_errors_of_accepting_do_not_fill_the_log(monkeypatch, caplog):
    """T7-4: a line at most every ten seconds, with the count.  A connection that waits is closed, so that handles get free."""
    monkeypatch.setattr(accepting, "_PAUSE_SECONDS", 0)

    class Waiting:
        is_refused = False
        n_dropped = 0

        def drop(self) -> None:
            Waiting.n_dropped += 1

    async def run() -> None:
        table, n_calls = ConnectionTable(10), 0
        for _ in range(3):
            table.admit(Waiting())
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        async def sock_accept(_listener):
            nonlocal n_calls
            n_calls += 1
            if n_calls > 1000:
                over.set()
                await asyncio.Event().wait()
            raise OSError(errno.EMFILE if n_calls % 2 else errno.ECONNABORTED, "Too many open files")

        monkeypatch.setattr(loop, "sock_accept", sock_accept)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            acceptor = Acceptor(listener, None, table, None, 10)
            await over.wait()
            acceptor.close()
            await acceptor.wait_closed()
        assert (acceptor.n_errors, Waiting.n_dropped, len(table)) == (1000, 3, 0)

    asyncio.run(run())
    assert len([record for record in caplog.records if "cannot accept" in record.getMessage()]) == 1


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "possible", "raised"),
    [
        (1024, 1024, 500, 288, None),
        (1024, 4096, 500, 500, 1660),
        (256, resource.RLIM_INFINITY, 500, 500, 1660),
        (1024, 1300, 500, 380, 1300),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 500, 500, None),
        (4096, 4096, 500, 500, None),
        (172, 172, 500, 4, None),
        (172, 172, 2, 2, None),
    ],
)
def test_the_limit_on_open_files_is_raised_as_far_as_needed(monkeypatch, soft, hard, wanted, possible, raised):
    """T7-4: and no further; if that is not enough, there are fewer connections."""
    seen = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: seen.append(limits))
    assert file_handles.connections_possible(wanted) == possible
    assert seen == ([] if raised is None else [(raised, hard)])


def test_a_limit_that_the_system_does_not_let_raise_stays(monkeypatch):
    """T7-4: whatever it says of itself.  A server that could not serve does not start."""
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1024, 1 << 20))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: (_ for _ in ()).throw(ValueError("not allowed")))
    assert file_handles.connections_possible(500) == 288
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (64, 64))
    with pytest.raises(UsageError, match=r"allows 64 open files .* needs 172"):
        file_handles.connections_possible(500)
