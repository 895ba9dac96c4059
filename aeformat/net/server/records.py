"""The small files of a server: records of blobs, the facts and the results of uploads; JSON, each written whole.

Owns their fields and their check.  A file that cannot be what this program wrote is BrokenFile: the disk, or a person,
has changed it (T4-18).  Knows nothing of where they lie.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from aeformat.transport import http_fields
from aeformat.transport.http_fields import DIGEST

CONTAINERS: Final = "containers"
MODELS: Final = "models"
TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}")
UNREADABLE: Final = (errno.EIO, errno.EISDIR, errno.ELOOP)  # of the file itself, not of this process
_T = TypeVar("_T")


class BrokenFile(Exception):
    """A small file is not what this program wrote.  str() says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """A blob that a tenant has stored; the contents of a record file.

    copy: in a bucket, which of the objects with this digest it is: the id of the upload that brought it; "" in a folder.
    """

    sha256: str  # hexadecimal
    size: int
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, and when it was written.  when: seconds since 1970."""

    record: Record
    when: float


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """The facts of an upload that are known before its first byte: whose it is, and its Upload-Length if it has one.

    is_told: whether a client was told its id; else it ends with the request that created it (T4-20).  created: seconds since
    1970, 0 where an older version did not write it down.  digests: those that it must have, by algorithm, in hexadecimal
    (T4-27).
    """

    tenant: str
    length: int | None
    is_told: bool = True
    created: float = 0.0
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadResult:
    """Where the blob of an upload is stored.  kind: CONTAINERS or MODELS.  name: the blob's digest, or its model id."""

    tenant: str
    kind: str
    name: str
    sha256: str
    size: int


def dump(value: Record | UploadInfo | UploadResult) -> bytes:
    """The contents of a small file."""
    return json.dumps({name: field for name, field in asdict(value).items() if (name, field) != ("copy", "")}).encode()


def load(path: Path, parse: Callable[[bytes], _T]) -> _T | None:
    """Read a small file; None if there is none.  Raises BrokenFile, OSError."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in UNREADABLE:
            raise BrokenFile(f"it cannot be read: {error.strerror}") from error
        raise
    return parse(data)


def parse_record(data: bytes) -> Record:
    """A record from the contents of its file.  Raises BrokenFile."""
    found = _fields(data)
    record = Record(_text(found, "sha256", DIGEST), _size(found, "size"), found.get("copy", ""))
    if record.copy and not (isinstance(record.copy, str) and UPLOAD_ID.fullmatch(record.copy)):
        raise BrokenFile("its copy is not an upload's id")
    return record


def parse_info(data: bytes) -> UploadInfo:
    """The facts of an upload from the contents of their file.  Raises BrokenFile."""
    found = _fields(data)
    length = None if found.get("length") is None else _size(found, "length")
    is_told, created = found.get("is_told", True), found.get("created", 0.0)
    if not isinstance(is_told, bool) or not isinstance(created, float):
        raise BrokenFile("its is_told is no truth value, or its created no number")
    return UploadInfo(_text(found, "tenant", TENANT), length, is_told, created, _digests(found.get("digests", {})))


def _digests(found: object) -> dict[str, str]:
    """Digests by algorithm, in hexadecimal.  Raises BrokenFile."""
    if not isinstance(found, dict) or not all(_is_digest(*each) for each in found.items()):
        raise BrokenFile("its digests are none")
    return found


def _is_digest(name: object, text: object) -> bool:
    size = http_fields.DIGESTS.get(name) if isinstance(name, str) else None
    return size is not None and isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{2 * size}}}", text) is not None


def parse_result(data: bytes) -> UploadResult:
    """The result of an upload from the contents of its file.  Raises BrokenFile."""
    found = _fields(data)
    if found.get("kind") not in (CONTAINERS, MODELS):
        raise BrokenFile("its kind is neither containers nor models")
    names = (_text(found, "name", DIGEST), _text(found, "sha256", DIGEST))
    return UploadResult(_text(found, "tenant", TENANT), found["kind"], *names, _size(found, "size"))


def _fields(data: bytes) -> dict[str, Any]:
    if not data:
        raise BrokenFile("it is empty")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenFile("it is not JSON") from None
    if not isinstance(found, dict):
        raise BrokenFile("it is not a JSON object")
    return found


def _text(found: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    text = found.get(name)
    if not isinstance(text, str) or not form.fullmatch(text):
        raise BrokenFile(f"its {name} does not have the form of one")
    return text


def _size(found: dict[str, Any], name: str) -> int:
    size = found.get(name)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BrokenFile(f"its {name} is not a size")
    return size
