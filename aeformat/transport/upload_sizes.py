"""The sizes that an upload may have: by the limits, the quota and what was said of its length.

Owns these comparisons and the problems that answer them (spec/transport.md, T4-20 and T4-24).
"""

from __future__ import annotations

from aeformat.transport import draft
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Append
from aeformat.transport.upload_promises import Promises


class UploadSizes:
    """The sizes of one upload.  Raises Problem if the length that was said is above the limit."""

    def __init__(self, limits: TransferLimits, promises: Promises) -> None:
        self._limits, self._promises = limits, promises
        if promises.length is not None:
            self._check(promises.length)

    def admit(self, request: Append, *, quota_left: int) -> None:
        """Check the sizes that the head of a request states.  Raises Problem (400, 413, 507)."""
        length = request.total(self._promises.length)
        if length is not None:
            self._check(length)
        if request.body_bytes is None:
            return
        end = request.offset + request.body_bytes
        if request.body_bytes > self._limits.max_append_size:
            raise self._too_long(request.body_bytes)
        self._check(end)
        if end > quota_left:
            raise _over_quota(quota_left)

    def allow(self, end: int, *, quota_left: int) -> bool:
        """Whether the upload may have a byte at `end` - 1."""
        return end <= min(quota_left, self._limits.max_size) and not self._promises.is_exceeded(end)

    def excess(self, end: int, *, quota_left: int) -> Problem:
        """Why the upload may have no byte at `end` - 1."""
        if end > self._limits.max_size:
            return self._too_long(end)
        return self.other_length(end) if self._promises.is_exceeded(end) else _over_quota(quota_left)

    def other_length(self, found: int) -> Problem:
        """The problem of a container that has another length than was said."""
        what = f"the container has {found} bytes or more, its length was {self._promises.length}"
        return Problem("inconsistent-upload-length", what)

    def _check(self, size: int) -> None:
        if size > self._limits.max_size:
            raise self._too_long(size)

    def _too_long(self, size: int) -> Problem:
        limit = self._limits.upload_limit
        return Problem("too-large", f"{size} bytes are more than allowed: {limit}", fields={draft.LIMIT: limit})


def _over_quota(quota_left: int) -> Problem:
    return Problem("quota-exceeded", f"there is room for {quota_left} bytes")
