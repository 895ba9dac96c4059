"""The client's address behind proxies: T10-9."""

from __future__ import annotations

import pytest

from aeformat.errors import UsageError
from aeformat.net.server.client_address import TrustedProxies

NGINX = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "forwarded", "client"),
    [
        ("127.0.0.1", [], [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.7"], [], "192.0.2.7"),
        ("127.0.0.1", ["198.51.100.1, 192.0.2.7"], [], "192.0.2.7"),  # the first one is made up by the client
        ("127.0.0.1", ["198.51.100.1, 192.0.2.7, 10.1.2.3"], [], "192.0.2.7"),
        ("127.0.0.1", ["198.51.100.1", "192.0.2.7"], [], "192.0.2.7"),  # two lines of one field
        ("127.0.0.1", ["10.1.2.3"], [], "10.1.2.3"),  # a client inside the trusted network
        ("192.0.2.9", ["198.51.100.1"], ["for=198.51.100.1"], "192.0.2.9"),  # not from a proxy
        ("127.0.0.1", [], ["for=192.0.2.7;proto=https, for=10.1.2.3"], "192.0.2.7"),
        ("127.0.0.1", [], ['For="[2001:4f8::7]:4711"'], "2001:4f8::7"),
        ("127.0.0.1", [], ['for="192.0.2.7:4711"'], "192.0.2.7"),
        ("127.0.0.1", [], ["for=_hidden"], "127.0.0.1"),
        ("127.0.0.1", [], ["for=unknown"], "127.0.0.1"),
        ("127.0.0.1", ["nonsense"], [], "127.0.0.1"),
        ("127.0.0.1", ["999.0.0.1"], [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.7"], ["for=198.51.100.1"], "127.0.0.1"),  # one of them was made up
        ("127.0.0.1", ["192.0.2.7"], ["for=192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", [", ,"], [], "127.0.0.1"),
        ("2001:db8::1", ["192.0.2.7:80"], [], "192.0.2.7"),
        (None, ["192.0.2.7"], [], None),
        ("weird", ["192.0.2.7"], [], "weird"),
    ],
)
def test_who_asked(peer, forwarded_for, forwarded, client):
    assert TrustedProxies(NGINX).client(peer, forwarded_for, forwarded) == client


def test_a_unix_socket_is_a_proxy_when_it_is_named():
    assert TrustedProxies(["unix"]).client(None, ["192.0.2.7"], []) == "192.0.2.7"
    assert TrustedProxies(["unix"]).client(None, [], []) is None


def test_nobody_is_trusted_unasked():
    assert TrustedProxies(()).client("127.0.0.1", ["192.0.2.7"], []) == "127.0.0.1"


@pytest.mark.parametrize("name", ["proxy.example", "10.0.0.1/8", "", "*"])
def test_what_is_no_address_is_refused(name):
    with pytest.raises(UsageError, match="trusted proxy"):
        TrustedProxies([name])
