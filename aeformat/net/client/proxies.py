"""The proxy to a server, from the environment (spec/transport.md, T5-17).

Owns http_proxy, https_proxy and no_proxy, in small letters or capitals.  User and password of a proxy are never shown.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from aeformat.errors import UsageError

_DEFAULT_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy is.  authorization: the value of Proxy-Authorization, None if it wants none."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The proxy, for people: without user and password."""
        return authority(self.host, self.port)


def authority(host: str, port: int) -> str:
    """A host and a port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def proxy_to(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for a server, None for a direct connection.  Raises UsageError for one that cannot be used."""
    name, text = _setting(f"{scheme}_proxy", environ)
    if not text or _is_excepted(host, port, _setting("no_proxy", environ)[1]):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        found = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        found = None, 0
    if found[0] is None or parts.scheme != "http":  # the text may hold a password
        raise UsageError(f"${name} is not the URL of a proxy, http://[USER:PASSWORD@]HOST[:PORT]")
    if parts.username is None:
        return Proxy(found[0], found[1])
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(found[0], found[1], f"Basic {base64.b64encode(secret).decode('ascii')}")


def _setting(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable in small letters, else in capitals: its name and its value."""
    upper = name.upper()
    if upper == "HTTP_PROXY" and "REQUEST_METHOD" in environ:  # in a CGI program that is a field of the request
        return name, environ.get(name, "").strip()
    return (name, environ[name].strip()) if name in environ else (upper, environ.get(upper, "").strip())


def _is_excepted(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host.lower(), port, item) for item in no_proxy.replace(",", " ").lower().split())


def _matches(host: str, port: int, item: str) -> bool:
    """Whether an item of no_proxy names the server: "*", a host, a domain, an address, a network; all but those with a port."""
    if "/" in item:
        return _is_in_network(host, item)
    name, colon, digits = item.rpartition(":")
    if colon and digits.isdigit() and (name.endswith("]") or ":" not in name):
        if int(digits) != port:
            return False
        item = name
    item = item.strip("[]").removeprefix("*").removeprefix(".")
    return not item or host == item or host.endswith(f".{item}")


def _is_in_network(host: str, item: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    except ValueError:
        return False
