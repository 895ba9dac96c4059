"""What a client says beforehand of an upload or of one body: lengths (T4-24) and digests (T4-26, T4-27).

Owns what was said so far, and whether the bytes keep it.  Knows nothing of containers, states and offsets.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from aeformat.transport.upload_actions import Append

Digests = Mapping[str, bytes]  # by algorithm, a key of http_fields.DIGESTS


class Promises:
    """The promises of one upload.

    said: its Upload-Length, None if there was none.  needed: the algorithms whose digests of the whole `other_whole` needs.
    """

    def __init__(self, length: int | None, digests: Digests) -> None:
        self.said = length
        self._implied: int | None = None  # the length that the last request implied: it ends there
        self._digests = dict(digests)
        self._of_body: Digests = {}
        self._hashes = {name: _new_hash(name) for name in self._of_body}

    @property
    def length(self) -> int | None:
        """The length of the upload as far as it is known."""
        return self._implied if self.said is None else self.said

    @property
    def needed(self) -> frozenset[str]:
        """The algorithms of the digests that the whole must have."""
        return frozenset(self._digests)

    def begin(self, request: Append) -> None:
        """Take what the head of a request says.  Raises Problem (400) if that contradicts what was said before."""
        self._implied = request.total(self.length)
        self.said = self.said if request.length is None else request.length
        self._of_body = request.digests
        self._hashes = {name: _new_hash(name) for name in self._of_body}

    def is_exceeded(self, end: int) -> bool:
        """Whether the upload has more bytes than was said, if it has one at `end` - 1."""
        return self.said is not None and end > self.said

    def forget_implied(self) -> None:
        """Report that the container does not end where the last request does."""
        self._implied = None

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the body."""
        for each in self._hashes.values():
            each.update(data)

    def other_body(self) -> str | None:
        """The algorithm by which the body has another digest than was said; None if there is none."""
        return _other(self._of_body, {name: each.digest() for name, each in self._hashes.items()})

    def other_whole(self, found: Digests) -> str | None:
        """The algorithm by which the whole has another digest than was said; None if there is none."""
        return _other(self._digests, found)


def _new_hash(name: str) -> hashlib._Hash:
    return hashlib.new(name.replace("-", ""))


def _other(said: Digests, found: Digests) -> str | None:
    return next((name for name in said if not hmac.compare_digest(said[name], found[name])), None)
