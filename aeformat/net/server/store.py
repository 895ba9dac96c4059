"""What a server needs of the place that keeps its blobs and records: a folder (folder_store.py), a bucket (bucket_store.py).

Owns the protocol, nothing else.  Uploads are not in it: their bytes are staged on a local disk (staging.py) until they
are verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from aeformat.net.server.records import Record, Stored, UploadResult


class StoreFailed(OSError):
    """The place of the blobs does not answer, or not as it must.  The request can be tried again."""


class BlobStore(Protocol):
    """Blobs by their digests, and the record of each blob that a tenant has.  Safe for several threads.

    is_local: whether its files are on this machine: then a call is fast, and `open` gives files that the kernel can send.
    All methods raise OSError if the place fails.
    """

    is_local: bool

    def put(self, result: UploadResult, path: Path) -> None:
        """Store a file, which is synced and verified, and write the tenant's record; both survive a crash.

        path: it may be moved away.  If it is gone, an earlier `put` was interrupted after that, and is finished.  A
        good blob that the tenant has under this name already is kept (T2-6, T4-13); one that is missing, short or damaged
        is replaced (T4-16).
        """

    def find(self, tenant: str, kind: str, name: str) -> Record | None:
        """The record of what a tenant has stored under a name; None if there is none, or it is broken (T4-18)."""

    def known(self, tenant: str, kind: str, names: Sequence[str]) -> set[str]:
        """Those of the names under which the tenant has a blob that is there (T2-12)."""

    def containers(self, tenant: str, after: str, n_most: int) -> list[Stored]:
        """The first n_most containers of a tenant whose digest comes after `after`, in order of the digests (T2-11)."""

    def holds(self, record: Record, tenant: str) -> bool:
        """Whether the blob of a record is there, with its length (T2-12)."""

    def open(self, record: Record, tenant: str, start: int, stop: int) -> BinaryIO | None:
        """Bytes start to stop - 1 of a blob, to be read from here on; None if the blob is missing or has another length."""

    def local_file(self, record: Record, tenant: str) -> AbstractContextManager[Path | None]:
        """A file of this machine with the blob, for the time of the `with` block; None as for `open`."""

    def delete(self, tenant: str, kind: str, name: str) -> bool:
        """Delete a tenant's record, and the blob if nobody else has it (T2-10); False if there is no record, good or
        broken."""

    def used(self, tenant: str) -> int:
        """The bytes that a tenant has stored.  Uploads are not counted.  Fast once `count` has been called."""

    def count(self, tenant: str) -> None:
        """See to it that `used` is up to date.  May be slow."""

    def recover(self) -> None:
        """Finish what a crash interrupted; called at the start."""

    @property
    def n_set_aside(self) -> int:
        """How many broken records were set aside, other than in the server's own folder (quarantine.py)."""

    @property
    def n_missing(self) -> int:
        """How often a blob was asked for that a record promises and that is not there."""
