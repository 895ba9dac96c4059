"""How many bytes of a file one request of an upload carries (spec/transport.md, T5-2, T5-14 and T6-5).

Owns what was learned about that: the server's max-append-size, and what a proxy in front of it has refused, which the proxy
does not say beforehand and the server does not know.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from aeformat.transport.problems import TransferFailed
from aeformat.transport.upload_limit import parse_limit

LEAST_BYTES: Final = 1 << 16  # of a request, if the file has as many: smaller ones would be too many
_TOO_LARGE: Final = 413


class RequestSizes:
    """Cuts a file into requests.

    size: bytes of the file.  ends: the offsets where its chunks end, ascending.  most: what a proxy takes, if that is known.
    """

    def __init__(self, size: int, ends: Sequence[int], most: int | None = None) -> None:
        self._size, self._ends = size, ends
        self._server_most: int | None = None
        self.proxy_most = most  # learned from a 413; no answer of the server raises it

    def learn(self, upload_limit: str | None) -> None:
        """Take max-append-size from the field Upload-Limit.  Raises TransferFailed if it is too small to be of use."""
        most = parse_limit(upload_limit or "").get("max-append-size")
        if most is None:
            return
        if most < LEAST_BYTES and most < self._size:
            raise TransferFailed(
                f"the server takes {most:,} bytes in a request (max-append-size), and less than {LEAST_BYTES:,} is not sent"
            )
        self._server_most = most

    def stop(self, at: int) -> int:
        """Where a request that begins at byte `at` ends: at the end of a chunk, if one is within the limits (T5-2)."""
        limits = [most for most in (self._server_most, self.proxy_most) if most is not None]
        most = min(limits, default=self._size)
        if self._size - at <= most:
            return self._size
        fitting = bisect_right(self._ends, at + most)
        if fitting and self._ends[fitting - 1] > at:
            return self._ends[fitting - 1]
        if self._server_most is None or self._least(at) <= self._server_most:
            return at + max(most, self._least(at))  # what is less than a chunk would not be kept (T4-3)
        return at + most

    def refused_by_proxy(self, at: int) -> None:
        """Make requests smaller: the one that begins at `at` was answered with a 413.  Raises TransferFailed at the end."""
        refused, least = self.stop(at) - at, self._least(at)
        if refused <= least:
            raise TransferFailed(
                f"sending: a proxy in front of the server refuses a request of {refused:,} bytes (413), and a smaller one "
                "is of no use; have the proxy's limit raised (nginx: client_max_body_size)",
                _TOO_LARGE,
            )
        self.proxy_most = max(refused // 2, least)

    def refused_by_server(self, at: int, upload_limit: str | None) -> bool:
        """Learn from the server's own 413 to the request that begins at `at`.  False: smaller requests are no help."""
        before = self.stop(at)
        self.learn(upload_limit)
        return self.stop(at) < before

    def _least(self, at: int) -> int:
        """The size of the smallest request from byte `at` that is of use: a chunk, and not too few bytes."""
        after = bisect_right(self._ends, at)
        chunk_bytes = self._ends[after] - at if after < len(self._ends) else 0
        return min(max(chunk_bytes, LEAST_BYTES), self._size - at)
