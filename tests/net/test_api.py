"""send, fetch and registry_decoder, blocking and with asyncio, over a good connection and a bad one."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from transport.containers import ends, latents

from aeformat import net
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.errors import DecoderMissing, FormatError, UsageError
from aeformat.model import places, store
from aeformat.model.file_io import package_bytes
from aeformat.model.identity import read_model_id
from aeformat.net.client.digest import FileDigest
from aeformat.net.client.fetching import partial_path
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.options import Options
from aeformat.net.client.pace import Timeouts
from aeformat.net.client.remote_decoder import DecoderNeed
from aeformat.net.client.sending import send_with_digest
from aeformat.transport.http_fields import repr_digest
from aeformat.transport.messages import Request, Response
from aeformat.transport.problems import TransferFailed
from net.running import running, self_signed, until, upload
from net.test_tenants import write_tokens
from tools.loopback.proxy import Fault, Proxy

FILE = latents(2000, dims=64, chunk_rows=100)
SHA = hashlib.sha256(FILE).hexdigest()
NEVER = Options(policy="never")
BOTH = pytest.mark.parametrize("twin", ["blocking", "asyncio"])


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "root") as server:
        yield server


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.aef"
    path.write_bytes(FILE)
    return path


@pytest.fixture
def nothing_shipped(tmp_path, monkeypatch):
    """A machine on which no model is installed."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(places, "shipped_folder", lambda: tmp_path / "empty")


def digits(n_rows: int) -> bytes:
    """Rows for the shipped exact decoder."""
    decoder = store.find_pair("mnist-exact")[1]
    kind = {"u8": np.uint8, "i8": np.int8}[decoder.input.type]
    sink = io.BytesIO()
    header = LatentsHeader(decoder.model_id, decoder.input.shape, decoder.output.shape, decoder.input.type)
    with LatentsWriter(sink, header) as writer:
        writer.write(np.ones((n_rows, *decoder.input.shape), kind))
    return sink.getvalue()


def call(twin: str, name: str, *arguments, **options):
    if twin == "blocking":
        return getattr(net, name)(*arguments, **options)
    return asyncio.run(getattr(net, f"a{name}")(*arguments, **options))


@BOTH
def test_there_and_back(server, source, tmp_path, twin):
    """send and fetch give the same bytes and the same digest; fetch takes the URL that send returns."""
    told = []
    sent = call(twin, "send", source, server.url, NEVER, progress=lambda *seen: told.append(seen))
    assert sent.url == f"{server.url}v1/containers/{SHA}"
    assert told[-1] == ("sending", len(FILE), len(FILE))
    fetched = call(twin, "fetch", sent.url, tmp_path / "back.aef", NEVER)
    assert (fetched.path.read_bytes(), fetched.sha256.hex()) == (FILE, SHA)
    assert call(twin, "send", source, server.url, NEVER) == sent


@BOTH
@pytest.mark.parametrize("kind", ["cut", "flip a bit", "lost final response", "early 413", "503"])
def test_a_fault_while_sending(server, source, twin, kind, monkeypatch):
    """One fault, then none: the file arrives."""
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.02)
    faults = [Fault(kind, 0.7)]
    proxy = Proxy(server.port, lambda method, _range: faults.pop() if method == "PATCH" and faults else None)
    sent = call(twin, "send", source, proxy.url, NEVER)
    assert sent.sha256.hex() == SHA and not faults
    assert server.request("GET", f"v1/containers/{SHA}").status == 200
    proxy.close()


@BOTH
def test_progress_follows_the_offset_of_the_server(server, source, twin, monkeypatch):
    """After a damaged chunk it goes back to the end of a good chunk.

    A file that the server has is reported as sent at once.
    """
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.02)
    faults, told = [Fault("flip a bit", 0.7)], []
    proxy = Proxy(server.port, lambda method, _range: faults.pop() if method == "PATCH" and faults else None)
    call(twin, "send", source, proxy.url, NEVER, progress=lambda *seen: told.append(seen))
    at = [n_bytes for _, n_bytes, _ in told]
    back = [after for before, after in pairwise(at) if after < before]
    assert back and set(back) <= set(ends(FILE)) and back[0] <= 0.7 * len(FILE)
    assert at[-1] == len(FILE)

    told.clear()
    call(twin, "send", source, proxy.url, NEVER, progress=lambda *seen: told.append(seen))
    assert told == [("sending", len(FILE), len(FILE))]
    proxy.close()


@BOTH
def test_sending_a_large_file_stops_when_the_server_has_it(server, tmp_path, twin, monkeypatch):
    """T5-10: sending begins before the digest is known.  Once it is known, a copy on the server ends the upload."""
    big = tmp_path / "big.aef"
    big.write_bytes(latents(40_000, dims=64, chunk_rows=1000))
    sha256 = hashlib.sha256(big.read_bytes()).digest()
    assert upload(server, big.read_bytes()).status == 201
    digests: list[FileDigest] = []

    class Late(FileDigest):
        def _run(self) -> None:
            digests.append(self)

    for home in ("sending", "aio"):
        monkeypatch.setattr(f"aeformat.net.client.{home}.FileDigest", Late)
    methods: list[str] = []
    proxy = Proxy(server.port, lambda method, _range: methods.append(method))

    def progress(what: str, n_bytes: int, size: int) -> None:
        if n_bytes and not digests[0].future.done():
            digests[0].future.set_result(sha256)

    sent = call(twin, "send", big, proxy.url, NEVER, progress=progress)
    assert sent.sha256 == sha256
    assert sorted(methods) == ["DELETE", "HEAD", "PATCH", "POST"]  # the threads of the proxy may overtake each other
    assert proxy.n_up < big.stat().st_size
    assert "aeformat_uploads_open 0" in server.request("GET", "metrics").body.decode()
    proxy.close()


def test_a_file_that_is_replaced_meanwhile_is_not_sent(server, source):
    """The digest would be that of the old file.  Nothing reaches the server."""
    with FileDigest(source) as digest:
        new = source.with_name("new.aef")
        new.write_bytes(latents(10))
        new.replace(source)
        with pytest.raises(UsageError, match="was replaced while it was being read; send it again"):
            send_with_digest(digest, source, server.url, NEVER)
    assert "aeformat_uploads_open 0" in server.request("GET", "metrics").body.decode()


@BOTH
@pytest.mark.parametrize("kind", ["cut", "flip a bit", "truncate", "duplicate the tail", "503"])
def test_a_fault_while_fetching(server, tmp_path, twin, kind, monkeypatch):
    """One fault, then none: the file arrives."""
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.02)
    upload(server, FILE)
    faults = [Fault(kind, 0.7)]
    proxy = Proxy(server.port, lambda method, _range: faults.pop() if method == "GET" and faults else None)
    fetched = call(twin, "fetch", f"{proxy.url}v1/containers/{SHA}", tmp_path / "back.aef", NEVER)
    assert fetched.path.read_bytes() == FILE and not faults
    proxy.close()


@BOTH
def test_a_partial_file_is_resumed(server, tmp_path, twin):
    """The partial file is verified and truncated to its last whole chunk; only the rest is fetched."""
    upload(server, FILE)
    proxy = Proxy(server.port, lambda method, is_range: None)
    partial_path(tmp_path / "x", "containers", SHA).write_bytes(FILE[: len(FILE) // 2] + b"what a crash left")
    call(twin, "fetch", f"{proxy.url}v1/containers/{SHA}", tmp_path / "x", NEVER)
    assert (tmp_path / "x").read_bytes() == FILE
    assert proxy.n_down < 0.6 * len(FILE)
    assert not partial_path(tmp_path / "x", "containers", SHA).exists()
    proxy.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://127.0.0.1/", "http"),
        ("http:///v1/", "http"),
        ("http://u:p@127.0.0.1/", "no user"),
        ("http://127.0.0.1:99999/", "ort"),
    ],
)
def test_a_bad_url_is_a_usage_error(source, url, says):
    """The error comes before anything is sent."""
    with pytest.raises(UsageError, match=says):
        net.send(source, url, NEVER)
    with pytest.raises(UsageError):
        net.fetch(url, "x", NEVER)


def test_a_broken_file_is_not_sent(server, tmp_path):
    """The scan before sending finds that it is incomplete."""
    (tmp_path / "bad.aef").write_bytes(FILE[:-1])
    with pytest.raises(FormatError, match="C9-1"):
        net.send(tmp_path / "bad.aef", server.url, NEVER)
    assert "uploads" not in server.request("GET", "metrics").body.decode().split("aeformat_uploads_open")[0]


@BOTH
def test_damage_in_the_sent_file_is_reported(server, tmp_path, twin, monkeypatch):
    """The server gets the file three times (T4-5).

    Then the sender reads its file, names the rule and the byte, and drops the upload.
    """
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.02)
    bad = bytearray(FILE)
    bad[len(FILE) // 2] ^= 1
    (tmp_path / "bad.aef").write_bytes(bad)
    with pytest.raises(FormatError, match="C4-11"):
        call(twin, "send", tmp_path / "bad.aef", server.url, NEVER)
    assert not list((Path(os.environ["AEFORMAT_CACHE"]) / "uploads").iterdir())


def test_a_redirect_and_another_origin_get_no_token(server, source):
    """T5-8: a Location on another server is refused."""
    from aeformat.net.client.http_messages import ServerAddress

    base = ServerAddress.parse(server.url, token="secret")
    assert base.target("/v1/uploads/x") == "/v1/uploads/x"
    for there in ("http://127.0.0.1:1/v1", "https://example.org/", "//example.org/", "ftp://x/", "/a b", "/\u00e9"):
        with pytest.raises(TransferFailed):
            base.target(there)


def test_a_decoder_is_sent_once_and_only_if_it_pays(server, tmp_path):
    """T9-2, T9-3; the reason is reported."""
    few, many = tmp_path / "few.aef", tmp_path / "many.aef"
    few.write_bytes(digits(10))
    many.write_bytes(digits(5000))
    said: list[str] = []
    model = f"v1/models/{store.find_pair('mnist-exact')[1].model_id.hex()}"

    net.send(few, server.url, notify=said.append)
    assert "does not pay" in said.pop() and server.request("HEAD", model).status == 404
    net.send(few, server.url, Options(policy="never"), notify=said.append)
    assert not said
    net.send(many, server.url, notify=said.append)
    assert "it pays" in said.pop() and server.request("HEAD", model).status == 200
    net.send(many, server.url, notify=said.append)
    assert not said


def test_sending_a_decoder_needs_no_numpy_and_skips_a_damaged_package(server, tmp_path):
    """The package is found by its header and sent as it is.

    A damaged one in the cache is reported, and the next one is sent.
    """
    many = tmp_path / "many.aef"
    many.write_bytes(digits(5000))
    decoder = places.shipped_folder() / "mnist-exact.decoder.aef"
    cached = places.cached_path(read_model_id(decoder))
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(decoder.read_bytes()[:-7])
    code = (
        "import sys; from aeformat.cli.main import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'numpy', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "send", many, server.url], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines()[1] == "0 []"
    assert "it pays" in done.stderr and "is damaged" in done.stderr
    found = server.request("GET", f"v1/models/{read_model_id(decoder).hex()}")
    assert found.get("Repr-Digest") == repr_digest(hashlib.sha256(decoder.read_bytes()).digest())


@pytest.mark.usefixtures("nothing_shipped")
def test_a_missing_decoder_comes_from_the_registry_once(server, tmp_path, monkeypatch):
    """T9-1, T9-4: it is fetched, checked with its golden set and cached.  The second time no server is asked."""
    monkeypatch.undo()
    monkeypatch.setenv("AEFORMAT_CACHE", str(tmp_path / "cache"))
    decoder = store.find_pair("mnist-exact")[1]
    (tmp_path / "empty2").mkdir()
    monkeypatch.setattr(places, "shipped_folder", lambda: tmp_path / "empty2")
    with pytest.raises(DecoderMissing, match="neither this machine"):
        net.registry_decoder(server.url, decoder.model_id)
    assert upload(server, package_bytes(decoder, level=1)).status == 201

    few, many = DecoderNeed(10, 784, 640), DecoderNeed(100_000, 784, 6_400_000)
    with pytest.raises(DecoderMissing, match="does not pay"):
        net.registry_decoder(server.url, decoder.model_id, need=few)
    assert net.registry_decoder(server.url, decoder.model_id, need=many).model_id == decoder.model_id
    server.stop()
    assert net.registry_decoder(server.url, decoder.model_id).model_id == decoder.model_id

    (cached,) = places.cache_folder().glob("*.aef")
    cached.write_bytes(cached.read_bytes()[:-7])
    with running(tmp_path / "root") as again:  # a damaged cache entry is fetched once more
        assert net.registry_decoder(again.url, decoder.model_id).model_id == decoder.model_id
    assert read_model_id(cached) == decoder.model_id


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize("policy", ["auto", "always"])
def test_a_decoder_of_unknown_length_is_not_fetched(monkeypatch, policy):
    """T9-2: without its length nobody can say whether it pays; it does not count as 0 bytes."""
    monkeypatch.setattr(HttpClient, "request", lambda *_: Response(200, {}))
    need = DecoderNeed(100_000, 784, 6_400_000)
    with pytest.raises(TransferFailed, match="does not say its length"):
        net.registry_decoder("http://127.0.0.1:1/", bytes(32), Options(policy=policy), need=need)


def test_a_decoder_of_this_machine_takes_no_temporary_folder(monkeypatch):
    """T9-1: neither a server nor the disk is asked for anything."""
    monkeypatch.setattr("tempfile.TemporaryDirectory", None)
    decoder = store.find_pair("mnist-exact")[1]
    assert net.registry_decoder("http://127.0.0.1:1/", decoder.model_id).model_id == decoder.model_id


def test_tokens_are_sent(tmp_path, source):
    """The token is sent as a bearer token.  Without one the user sees the server's answer."""
    with running(tmp_path / "root", tokens=write_tokens(tmp_path / "tokens")) as server:
        with pytest.raises(TransferFailed, match="401: a valid token"):
            net.send(source, server.url, NEVER)
        sent = net.send(source, server.url, Options(token="a", policy="never"))
        assert net.fetch(sent.url, tmp_path / "x", Options(token="reader")).sha256.hex() == SHA


def test_tls(tmp_path, source):
    """With certificate files.  A certificate that is not trusted is refused, and the error says so."""
    certificate, key = self_signed(tmp_path)
    with running(tmp_path / "root", certificate=(certificate, key)) as server:
        trusting = Options(policy="never", ca_file=str(certificate))
        sent = net.send(source, server.url, trusting)
        assert net.fetch(sent.url, tmp_path / "x", trusting).path.read_bytes() == FILE
        assert asyncio.run(net.asend(source, server.url, trusting)) == sent
        found = HttpClient(ServerAddress.parse(server.url), Timeouts()).request(Request("GET", "v1/"))
        assert "certificate is not trusted" in found.reason


def command(name: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Run one command of the command line in a process of its own."""
    run = (
        f"import argparse, sys; from aeformat.cli import {name} as c; p = argparse.ArgumentParser(); c.add_arguments(p);"
        "sys.exit(c.run(p.parse_args(sys.argv[1:])))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", run, *map(str, arguments)],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_commands(tmp_path, source):
    """serve on a free port, send, fetch; SIGTERM stops the server properly."""
    serving = command("serve", tmp_path / "root", "--port", 0)
    url = serving.stdout.readline().split()[-1]
    sent, _ = command("send", source, url, "--model-policy", "never").communicate(timeout=120)
    assert sent.strip().endswith(SHA)
    fetching = command("fetch", sent.strip(), "-o", tmp_path / "x.aef", "--model-policy", "never")
    assert (fetching.wait(120), (tmp_path / "x.aef").read_bytes()) == (0, FILE)
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(60) in (0, -signal.SIGTERM)


def test_a_killed_sender_is_resumed_by_the_next(tmp_path, monkeypatch):
    """kill -9 of `aeformat send` in the middle: the same command resumes the same upload."""
    big = tmp_path / "big.aef"
    big.write_bytes(latents(40_000, dims=64, chunk_rows=1000))
    size = big.stat().st_size
    with running(tmp_path / "root", sync_bytes=1 << 20) as server:
        passed = [0]

        def plan(method: str, is_range: bool) -> Fault | None:
            passed[0] += method == "PATCH"
            return Fault("stall", 0.6) if method == "PATCH" and passed[0] == 1 else None

        proxy = Proxy(server.port, plan, stall_seconds=120)
        sender = command("send", big, proxy.url, "--model-policy", "never")
        until(lambda: proxy.n_up >= size // 2)
        time.sleep(1.5)
        sender.kill()
        sender.wait()
        before = proxy.n_up
        text, errors = command("send", big, proxy.url, "--model-policy", "never").communicate(timeout=120)
        assert text.strip().endswith(hashlib.sha256(big.read_bytes()).hexdigest()), errors
        assert proxy.n_up - before < 0.7 * size
        assert not list((Path(os.environ["AEFORMAT_CACHE"]) / "uploads").iterdir())
        proxy.close()
