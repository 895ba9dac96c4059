"""What sending one file has shown of the server, and need not be asked for the next one of a batch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from aeformat.transport.upload_client import UploadClient

UNASKED_BYTES: Final = 1 << 16  # up to this size a file costs little more than the question whether it is there
_NEW_IN_A_ROW: Final = 8  # after so many files that the server did not have it is not asked for small ones


@dataclass(slots=True)
class Learned:
    """Shared by the threads of one batch.

    decoders: that the server has, by model id.  packages: of those that it lacks, None for one that this machine lacks too.
    most: bytes of a request that a proxy in between takes, None if none has refused one.
    """

    decoders: set[bytes] = field(default_factory=set)
    packages: dict[bytes, bytes | None] = field(default_factory=dict)
    most: int | None = None
    decoder_lock: threading.Lock = field(default_factory=threading.Lock)
    n_new: int = 0  # files in a row that the server did not have

    def expects_new(self, size: int) -> bool:
        """Whether a file of this size is sent unasked (T5-11)."""
        return size <= UNASKED_BYTES and self.n_new >= _NEW_IN_A_ROW

    def note(self, client: UploadClient) -> None:
        """Learn from an upload that is done."""
        self.most = client.sizes.proxy_most or self.most
        self.n_new = 0 if client.was_there else self.n_new + 1
