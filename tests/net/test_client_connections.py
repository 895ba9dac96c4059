"""Connections of the clients: kept, stale, through proxies; servers that hold a client up; both twins alike."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl

import pytest
from transport.containers import latents

from aeformat import net
from aeformat.errors import UsageError
from aeformat.net.client import http_messages, kept
from aeformat.net.client.aio.async_http_client import AsyncHttpClient
from aeformat.net.client.events import Answered, Asked, Unanswered, Waiting
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.options import Options
from aeformat.net.client.pace import Timeouts
from aeformat.net.client.proxies import proxy_to
from aeformat.transport.messages import Lost, Request, Response
from aeformat.transport.problems import TransferFailed
from net.fake import Fake, Forwarder, Relay, answer
from net.running import running, self_signed

BOTH = pytest.mark.parametrize("kind", [HttpClient, AsyncHttpClient], ids=["blocking", "asyncio"])
GET, POST = Request("GET", "v1/"), Request("POST", "v1/uploads", {}, (0, 3))
SMALL = latents(20)
LARGE = latents(12_000, dims=64, chunk_rows=500)  # 6 MB: more than one piece, and than one request


def ask(kind, url, *requests, ca_file=None, pause=0.0, tell=lambda _: None):
    """The results of requests that one client sends, one after another."""
    address, timeouts = ServerAddress.parse(url, ca_file=ca_file), Timeouts(idle_seconds=5)

    def body(at, n):
        return b"abc"[at : at + n]

    async def asynchronously():
        found = []
        async with AsyncHttpClient(address, timeouts, tell=tell) as client:
            for request in requests:
                found.append(await client.request(request, body))
                await asyncio.sleep(pause)
        return found

    if kind is AsyncHttpClient:
        return asyncio.run(asynchronously())
    import time

    found = []
    with HttpClient(address, timeouts, tell=tell) as client:
        for request in requests:
            found.append(client.request(request, body))
            time.sleep(pause)
    return found


@BOTH
def test_requests_follow_each_other_over_one_connection(kind):
    """T5-16: with and without a body, whatever the answer."""
    with Fake(lambda asked: answer(404 if asked.method == "GET" else 200, asked.body)) as server:
        found = ask(kind, server.url, GET, POST, GET, Request("DELETE", "v1/x"))
        assert [(one.status, one.body) for one in found] == [(404, b""), (200, b"abc"), (404, b""), (200, b"")]
        assert server.n_connections == 1


@BOTH
@pytest.mark.parametrize("name", ["send", "fetch"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_transfer_takes_one_connection(tmp_path, kind, name, data):
    """T5-16; the probe that is sent beside a large body takes another one."""
    (tmp_path / "x.aef").write_bytes(data)
    calls = {
        "send": (lambda url: net.send(tmp_path / "x.aef", url), lambda url: net.asend(tmp_path / "x.aef", url)),
        "fetch": (
            lambda url: net.fetch(url, tmp_path / "y", force=True),
            lambda url: net.afetch(url, tmp_path / "y", force=True),
        ),
    }[name]
    with running(tmp_path / "root") as server, Relay(server.port) as relay:
        url = relay.url
        if name == "fetch":
            url += net.send(tmp_path / "x.aef", server.url).url.removeprefix(server.url)
        found = calls[0](url) if kind is HttpClient else asyncio.run(calls[1](url))
        assert found.n_bytes == len(data)
        assert relay.n_connections <= 1 + (name == "send" and len(data) > 1 << 24)


@BOTH
def test_a_connection_that_was_closed_meanwhile_is_not_used(kind):
    """T5-16: it is seen before a request is lost on it, a POST too."""
    with Fake(lambda asked: answer(), closes_after=True) as server:
        found = ask(kind, server.url, GET, POST, GET, pause=0.2)
        assert [one.status for one in found] == [200, 200, 200] and server.n_connections == 3


@BOTH
def test_only_what_may_be_done_twice_is_repeated_on_a_stale_connection(kind):
    """T5-16: closed without a byte of an answer.  GET is repeated over a new connection at once, POST is lost."""
    n_answered: dict[int, int] = {}

    def once(asked):
        n_answered[asked.connection] = n_answered.get(asked.connection, 0) + 1
        return answer() if n_answered[asked.connection] == 1 else None

    with Fake(once) as server:
        first, again = ask(kind, server.url, GET, GET)
        assert (first.status, again.status, server.n_connections) == (200, 200, 2)
        first, lost = ask(kind, server.url, GET, POST)
        assert isinstance(first, Response) and isinstance(lost, Lost) and server.n_connections == 3
        assert [asked.method for asked in server.asked] == ["GET", "GET", "GET", "GET", "POST"]


@BOTH
def test_a_connection_that_was_idle_takes_no_post(kind, monkeypatch):
    """T5-16: servers close what is idle, and a POST must not be lost on it."""
    monkeypatch.setattr(kept, "ONCE_SECONDS", 0.0)
    with Fake(lambda asked: answer()) as server:
        assert [one.status for one in ask(kind, server.url, GET, POST, GET)] == [200, 200, 200]
        assert [asked.connection for asked in server.asked] == [0, 1, 1]


@BOTH
@pytest.mark.parametrize(
    "data",
    [answer() + b"HTTP/1.1 200 X\r\n\r\n", answer(Connection="close"), answer().replace(b"1.1", b"1.0")],
    ids=["more than was asked for", "close", "HTTP/1.0"],
)
def test_a_connection_that_cannot_be_trusted_is_not_kept(kind, data):
    """An answer must not be taken for that of the next request."""
    with Fake(lambda asked: data) as server:
        assert [one.status for one in ask(kind, server.url, GET, GET, pause=0.1)] == [200, 200]
        assert server.n_connections == 2


@BOTH
@pytest.mark.parametrize("n_interim", [5, 101])
def test_a_few_interim_responses_are_skipped_and_many_are_no_answer(kind, n_interim):
    """T5-15: however fast they come."""
    with Fake(lambda asked: b"HTTP/1.1 102 Processing\r\n\r\n" * n_interim + answer()) as server:
        (found,) = ask(kind, server.url, GET)
        assert (
            isinstance(found, Response)
            if n_interim < 100
            else "101 interim responses (1xx) and no answer" in found.reason
        )


@BOTH
def test_long_interim_responses_are_counted_by_their_bytes(kind):
    """T5-15: 64 KiB."""
    one = b"HTTP/1.1 102 Processing\r\nX: " + b"a" * 3000 + b"\r\n\r\n"
    with Fake(lambda asked: one * 50) as server:
        (found,) = ask(kind, server.url, GET)
        assert isinstance(found, Lost) and "interim responses" in found.reason


@BOTH
def test_what_happens_is_told_and_no_token_with_it(kind, tmp_path):
    """`Options.tell`: each request and its answer, or that there was none."""
    seen = []
    with Fake(lambda asked: answer(204) if asked.method == "POST" else None) as server:
        ask(kind, server.url, POST, GET, tell=seen.append)
    assert [type(event) for event in seen] == [Asked, Answered, Asked, Unanswered]
    assert seen[0] == Asked("POST", "/v1/uploads", 3) and seen[1].status == 204
    assert "s3cret" not in repr(ServerAddress.parse("http://x/", token="s3cret"))


@pytest.mark.parametrize("twin", ["blocking", "asyncio"])
def test_waits_are_told_and_bounded(tmp_path, monkeypatch, twin):
    """T8-3, T8-4: a server that says "503, in an hour" again and again is waited for an hour in all."""
    seen = []
    (tmp_path / "x.aef").write_bytes(SMALL)
    options = Options(policy="never", tell=lambda event: isinstance(event, Waiting) and seen.append(event))
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("aeformat.net.client.http_client.time.sleep", slept.append)
    if twin == "asyncio":
        monkeypatch.setattr("aeformat.net.client.aio.async_transfer.asyncio.sleep", sleep)
    with (
        Fake(lambda asked: answer(503, Retry_After="3600")) as server,
        pytest.raises(TransferFailed, match="gave up after 2 tries"),
    ):
        if twin == "asyncio":
            asyncio.run(net.asend(tmp_path / "x.aef", server.url, options))
        else:
            net.send(tmp_path / "x.aef", server.url, options)
    assert [event.seconds for event in seen] == [3600.0] and "the server says 503" in seen[0].reason


LOCATIONS = {
    "relative": ("uploads/u", "/ae/v1/uploads/u"),
    "dots": ("../v1/uploads/u", "/ae/v1/uploads/u"),
    "path": ("/other/uploads/u?x=1", "/other/uploads/u?x=1"),
    "own origin": ("{url}v1/uploads/u", "/v1/uploads/u"),
}


@BOTH
@pytest.mark.parametrize(("location", "target"), LOCATIONS.values(), ids=LOCATIONS)
def test_a_location_is_resolved_against_the_request(tmp_path, kind, location, target):
    """T5-12: so that a server below a path need not know of it."""

    def made(asked):
        if asked.method == "POST":
            return answer(201, Location=location.format(url=server.url))
        return answer(404) if "containers" in asked.target else answer(422)

    (tmp_path / "x.aef").write_bytes(LARGE)
    options = Options(policy="never")
    with Fake(made) as server, pytest.raises(TransferFailed, match="422"):
        url = f"{server.url}ae/"
        if kind is HttpClient:
            net.send(tmp_path / "x.aef", url, options)
        else:
            asyncio.run(net.asend(tmp_path / "x.aef", url, options))
    assert [asked.target for asked in server.asked if asked.method == "PATCH"] == [target]


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2/v1/uploads/u", "//elsewhere/u", "https://127.0.0.1/u", "http://[u"]
)
def test_a_location_elsewhere_is_refused(tmp_path, location, monkeypatch):
    """T5-8: the token goes to one server only."""
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.01)
    (tmp_path / "x.aef").write_bytes(LARGE)
    answers = {"POST": answer(201, Location=location), "HEAD": answer(404)}
    with Fake(lambda asked: answers[asked.method]) as server, pytest.raises(TransferFailed, match=r"elsewhere|no URL"):
        net.send(tmp_path / "x.aef", server.url, Options(policy="never", token="s3cret"))
    assert {asked.method for asked in server.asked} == {"HEAD", "POST"}


PROXIES = {
    "none": ({}, None),
    "small letters": ({"http_proxy": "http://p:1"}, "p:1"),
    "capitals": ({"HTTP_PROXY": "http://p:1/"}, "p:1"),
    "small letters first": ({"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:2"}, "q:2"),
    "empty": ({"HTTP_PROXY": "http://p:1", "http_proxy": ""}, None),
    "of a CGI program": ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
    "of another scheme": ({"https_proxy": "http://p:1"}, None),
    "without a scheme": ({"http_proxy": "p:1"}, "p:1"),
    "without a port": ({"http_proxy": "http://p"}, "p:80"),
    "address": ({"http_proxy": "http://[::1]:3"}, "[::1]:3"),
}
EXCEPTED = ["*", "a.example", ".example", "example", "x, *.example", "A.Example:8023", "b c,a.example"]
NOT_EXCEPTED = ["", "b.example", "a.example:80", "ple", "10.0.0.0/8", "a/b"]


@pytest.mark.parametrize(("environ", "name"), PROXIES.values(), ids=PROXIES)
def test_the_environment_names_the_proxy(environ, name):
    """T5-17."""
    found = proxy_to("http", "a.example", 8023, environ)
    assert (found and found.name) == name


@pytest.mark.parametrize("no_proxy", [*EXCEPTED, *NOT_EXCEPTED])
def test_no_proxy_excepts_servers(no_proxy):
    """T5-17: hosts, domains, ports."""
    found = proxy_to("http", "a.example", 8023, {"http_proxy": "http://p:1", "NO_PROXY": no_proxy})
    assert (found is None) is (no_proxy in EXCEPTED)


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_excepted"),
    [("10.1.2.3", "10.0.0.0/8", True), ("11.1.2.3", "10.0.0.0/8", False), ("::1", "[::1]:8023", True), ("::1", "::1", True),
     ("::1", "[::1]:1", False)],
)  # fmt: skip
def test_no_proxy_excepts_addresses(host, no_proxy, is_excepted):
    """T5-17: networks, and addresses of version 6."""
    found = proxy_to("http", host, 8023, {"http_proxy": "http://p:1", "no_proxy": no_proxy})
    assert (found is None) is is_excepted


@pytest.mark.parametrize(
    "text", ["https://u:s3cret@p", "socks5://u:s3cret@p:1", "http://u:s3cret@p:port", "http://", "http://[p"]
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(text):
    """T5-17."""
    with pytest.raises(UsageError, match="https_proxy is not the URL of a proxy") as caught:
        proxy_to("https", "x", 443, {"https_proxy": text})
    assert "s3cret" not in str(caught.value)


SECRET = f"Basic {base64.b64encode(b'user:p@ss').decode()}"


@BOTH
@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
def test_requests_go_through_the_proxy(tmp_path, monkeypatch, kind, is_tls):
    """T5-17: http in the absolute form, https in a tunnel that shows the proxy nothing; user and password to the proxy only."""
    tls, ca_file = None, None
    if is_tls:
        certificate, key = self_signed(tmp_path)
        tls, ca_file = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), str(certificate)
        tls.load_cert_chain(certificate, key)
    with Forwarder(wanted=SECRET) as proxy, Fake(lambda asked: answer(200, asked.body), tls=tls) as server:
        monkeypatch.setenv(f"http{'s' * is_tls}_proxy", f"http://user:p%40ss@{proxy.place}")
        found = ask(kind, server.url, GET, POST, GET, ca_file=ca_file)
        assert [(one.status, one.body) for one in found] == [(200, b""), (200, b"abc"), (200, b"")]
        assert all("proxy-authorization" not in asked.fields for asked in server.asked)
        assert [asked.target for asked in server.asked] == ["/v1/", "/v1/uploads", "/v1/"]
        place = f"127.0.0.1:{server.port}"
        firsts = [head.split("\r\n")[0] for head in proxy.heads]
        assert firsts == ([f"CONNECT {place} HTTP/1.1"] if is_tls else
                          [f"GET http://{place}/v1/ HTTP/1.1", f"POST http://{place}/v1/uploads HTTP/1.1",
                           f"GET http://{place}/v1/ HTTP/1.1"])  # fmt: skip
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert ask(kind, server.url, GET, ca_file=ca_file)[0].status == 200 and len(proxy.heads) == len(firsts)


@BOTH
def test_a_proxy_that_refuses_is_named_without_its_password(monkeypatch, kind):
    """T5-17: 407 and 403 are final, a 502 may pass; for http the answer is the proxy's own."""
    with Forwarder(wanted="Basic other") as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:s3cret@{proxy.place}")
        with pytest.raises(
            TransferFailed, match=f"the proxy {proxy.place} does not connect to 127.0.0.1:9: it says 407"
        ) as caught:
            ask(kind, "https://127.0.0.1:9/", GET)
        assert "put a user and a password" in str(caught.value) and "s3cret" not in str(caught.value)
        monkeypatch.setenv("http_proxy", f"http://user:s3cret@{proxy.place}")
        (found,) = ask(kind, "http://127.0.0.1:9/", GET)
        assert "wants a user and a password" in str(found.refusal("sending"))
    with Forwarder(refuses=502) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.place}")
        (found,) = ask(kind, "https://127.0.0.1:9/", GET)
        assert isinstance(found, Lost) and "it says 502" in found.reason


@pytest.mark.parametrize(
    "data",
    [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 X\r\n\r\nmore", b"a" * 20_000],
    ids=["closes", "ssh", "more", "long"],
)
def test_what_is_no_proxy_is_lost(monkeypatch, data):
    """The answer to CONNECT is read with bounds."""
    with Fake(lambda asked: data or None, closes_after=True) as nobody:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{nobody.port}")
        (found,) = ask(HttpClient, "https://127.0.0.1:9/", GET)
        assert isinstance(found, Lost)


@BOTH
def test_a_body_ends_where_the_answer_begins(kind, monkeypatch):
    """T6-4, over a connection that is not used again: the rest of the body has not been sent."""
    monkeypatch.setattr(http_messages, "PIECE_BYTES", 1 << 16)
    n_asked = []

    def early(asked):
        n_asked.append(asked.method)
        return answer()

    with Fake(early) as server, contextlib.suppress(ConnectionError):
        assert [one.status for one in ask(kind, server.url, GET, GET)] == [200, 200]
    assert n_asked == ["GET", "GET"]
