"""Checking a store and cleaning it up, by its name: a folder, or s3://bucket/prefix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aeformat.net.server.check_report import Report
from aeformat.net.server.folder_check import FolderCheck
from aeformat.net.server.folder_gc import FolderGc
from aeformat.net.server.open_storage import SCHEME, open_bucket


def check_store(
    name: str, *, repairs: bool, progress: Callable[[int, int], None] = lambda n_done, n_all: None
) -> Report:
    """Read every blob and every record; servers may run meanwhile.  repairs: set aside what is damaged or promises nothing.

    progress: called with the bytes checked, and of how many.  Raises UsageError if it is not a server's, OSError.
    """
    if not name.startswith(SCHEME):
        return FolderCheck(Path(name), progress=progress).run(repairs=repairs)
    bucket = open_bucket(name)
    from aeformat.net.server.bucket_check import BucketCheck

    return BucketCheck(bucket, progress=progress).run(repairs=repairs)


def clean_up(name: str, *, is_dry: bool) -> Report:
    """Remove what nobody can ask for; servers may run meanwhile.  is_dry: only say what would be removed.

    Raises UsageError if it is not a server's, or a check could mend what would be removed, OSError.
    """
    if not name.startswith(SCHEME):
        return FolderGc(Path(name), is_dry=is_dry).run()
    bucket = open_bucket(name)
    from aeformat.net.server.bucket_check import BucketGc

    return BucketGc(bucket, is_dry=is_dry).run()
