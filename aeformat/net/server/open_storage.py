"""Where a server's blobs are kept, by name: a folder, or s3://bucket/prefix with a folder for staging."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aeformat.errors import UsageError
from aeformat.net.server.disk import Disk
from aeformat.net.server.storage import Storage

if TYPE_CHECKING:
    from aeformat.net.server.bucket import Bucket

SCHEME: Final = "s3://"


def open_storage(root: Path, bucket: str | None = None, disk: Disk | None = None) -> Storage:
    """The storage in a folder; with a bucket's URL the folder is for staging alone.

    Raises UsageError where it cannot be used, OSError.
    """
    if bucket is None:
        return Storage(root, disk)
    found = open_bucket(bucket)
    from aeformat.net.server.bucket_store import BucketStore

    return Storage(root, disk, elsewhere=lambda: BucketStore(found, root))


def open_bucket(url: str) -> Bucket:
    """A bucket by its URL.  Raises UsageError, also if the extra [s3] is not installed."""
    if find_spec("boto3") is None:
        raise UsageError("boto3 is not installed: pip install 'aeformat[s3]'")
    from aeformat.net.server.bucket import Bucket  # takes half a second, which a folder need not cost

    return Bucket(url)
