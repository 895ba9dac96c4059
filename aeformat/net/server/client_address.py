"""The address that a request came from, also where proxies stand between (spec/transport.md, T10-9).

Owns the reading of X-Forwarded-For and Forwarded (RFC 7239).  Both can be written by anybody, so they count only from proxies
that the operator trusts, and only back to the first address that is not one of those.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from aeformat.errors import UsageError

UNIX: Final = "unix"  # stands for whoever connects to a Unix socket
_FOR: Final = re.compile(r'(?:^|[;,\s])for="?([^",;\s]+)"?', re.IGNORECASE)
_ADDRESS: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9A-Fa-f:.]+)")
_MOST_HOPS: Final = 32


class TrustedProxies:
    """The proxies whose word about a client's address is taken."""

    def __init__(self, proxies: Iterable[str]) -> None:
        """proxies: addresses, networks (10.0.0.0/8), or "unix".  Raises UsageError."""
        names = tuple(proxies)
        try:
            self._networks = tuple(ipaddress.ip_network(name) for name in names if name != UNIX)
        except ValueError as error:
            raise UsageError(f"a trusted proxy is an address, a network, or {UNIX!r}: {error}") from None
        self._trusts_unix = UNIX in names

    def client(self, peer: str | None, forwarded_for: list[str], forwarded: list[str]) -> str | None:
        """The client's address.  peer: of the connection, None for a Unix socket.  The lists: values of the two fields.

        Where both fields are there and do not agree, one was made up by the client: the peer's address stands.
        """
        if not self._trusts(peer):
            return peer
        found = {self._last_untrusted(hops) for hops in (_listed(forwarded_for), _listed_for(forwarded)) if hops}
        return found.pop() or peer if len(found) == 1 else peer

    def _trusts(self, address: str | None) -> bool:
        if address is None:
            return self._trusts_unix
        try:
            number = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(number in network for network in self._networks)

    def _last_untrusted(self, hops: list[str]) -> str | None:
        """Of addresses in the order of the way, the last that is no trusted proxy; None if it is no address at all."""
        for hop in reversed(hops[-_MOST_HOPS:]):
            match = _ADDRESS.fullmatch(hop)
            address = next((text for text in match.groups() if text), None) if match else None
            if address is None or not self._trusts(address):
                return _as_address(address)
        return _as_address(hops[0])


def _as_address(text: str | None) -> str | None:
    try:
        return None if text is None else str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _listed(values: list[str]) -> list[str]:
    return [hop.strip() for value in values for hop in value.split(",") if hop.strip()]


def _listed_for(values: list[str]) -> list[str]:
    return [match[1] for value in values for match in _FOR.finditer(value)]
