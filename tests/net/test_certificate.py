"""A certificate that is renewed while the server runs (section 12 of spec/transport.md)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from aeformat.errors import UsageError
from aeformat.net.server.certificate import Certificate
from net.running import needs, running, self_signed, until


def made(folder: Path) -> tuple[Path, Path]:
    """A new certificate with a key of its own."""
    folder.mkdir(exist_ok=True)
    return self_signed(folder)


def served(port: int, name: str | None) -> bytes:
    """The certificate that a handshake gets.  name: in the handshake (SNI), None for without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), 30)
    with plain, context.wrap_socket(plain, server_hostname=name) as sock:
        return sock.getpeercert(binary_form=True) or b""


def der(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


def put(new: Sequence[Path], old: Sequence[Path]) -> None:
    """Files in their places, as a renewal does it: one after the other."""
    for source, target in zip(new, old, strict=True):
        shutil.copy(source, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target)


@pytest.fixture
def pair(tmp_path):
    return made(tmp_path / "live")


@pytest.fixture
def server(tmp_path, pair):
    with running(tmp_path / "root", certificate=pair, log=tmp_path / "log") as server:
        yield server


def messages(tmp_path: Path) -> list[dict]:
    found = (json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    return [line for line in found if "certificate" in line.get("message", "")]


def unreadable(server) -> str:
    """The metric, over TLS without a check of the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.port), 30) as plain, context.wrap_socket(plain) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = b""
        while piece := sock.recv(65536):
            found += piece
    return next(line for line in found.decode().splitlines() if line.startswith("aeformat_certificate_unreadable "))


@pytest.mark.parametrize("name", ["localhost", None])
def test_a_renewed_certificate_is_served_without_a_restart(server, pair, tmp_path, name):
    """Within about two seconds.  A connection that is open goes on."""
    before = served(server.port, name)
    assert before == der(pair[0])
    new = made(tmp_path / "new")
    put(new, pair)
    until(lambda: served(server.port, name) == der(new[0]))
    assert server.process.is_alive()
    assert messages(tmp_path)[-1]["level"] == "info"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_takes_it_at_once(server, pair, tmp_path):
    new = made(tmp_path / "new")
    put(new, pair)
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: served(server.port, "localhost") == der(new[0]))


@pytest.mark.parametrize("damage", ["other key", "cut", "missing", "no certificate"])
def test_a_broken_pair_is_loud_and_the_old_one_stays(server, pair, tmp_path, damage):
    """The log says so, the metric as long as it is so; a good pair then is taken."""
    old = der(pair[0])
    other = made(tmp_path / "other")
    if damage == "other key":
        put(other[1:], pair[1:])
    elif damage == "cut":
        pair[0].write_bytes(pair[0].read_bytes()[:100])
    elif damage == "missing":
        pair[1].unlink()
    else:
        pair[0].write_text("")
    until(lambda: bool(messages(tmp_path)))
    loud = messages(tmp_path)[0]
    assert loud["level"] == "error" and loud["reason"] and loud["file"] == str(pair[0])
    assert unreadable(server) == "aeformat_certificate_unreadable 1"
    assert served(server.port, "localhost") == served(server.port, None) == old
    put(other, pair)
    until(lambda: served(server.port, "localhost") == der(other[0]))
    assert unreadable(server) == "aeformat_certificate_unreadable 0"
    assert messages(tmp_path)[-1]["level"] == "info"


def test_a_pair_that_is_half_renewed_is_not_read(pair, tmp_path):
    """The certificate is new, the key comes a moment later: no error in between."""
    watched, new = Certificate(*pair), made(tmp_path / "new")
    shutil.copy(new[0], pair[0])
    watched.look()
    assert not watched.is_unreadable
    shutil.copy(new[1], pair[1])
    watched.look()
    assert not watched.is_unreadable
    watched.look()
    assert not watched.is_unreadable and watched._newest is not watched.context


def test_a_bad_pair_is_refused_at_the_start(tmp_path, pair):
    other = made(tmp_path / "other")
    for files in ((pair[0], other[1]), (pair[1], pair[0]), (pair[0], tmp_path / "nowhere")):
        with pytest.raises(UsageError, match="cannot use the certificate"):
            Certificate(*files)


def test_a_key_with_a_passphrase_is_refused(tmp_path, pair):
    """Nobody is there to type it."""
    locked = tmp_path / "locked.pem"
    line = [needs("openssl"), "rsa", "-aes256", "-passout", "pass:secret", "-in", pair[1], "-out", locked]
    subprocess.run(line, capture_output=True, check=True, timeout=60)
    with pytest.raises(UsageError, match="cannot use the certificate"):
        Certificate(pair[0], locked)
