"""What a server has of the caller's, and taking it away: the routes behind `aeformat ls` and `aeformat rm`.

Owns reading the lists page by page.  A list is not trusted: it has a largest size, and pages must go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, Final

from aeformat.errors import UsageError
from aeformat.net.client.events import Waiting
from aeformat.net.client.http_client import CONNECTION_ERRORS, HttpClient, error_text
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.local_errors import unmarked
from aeformat.net.client.options import DEFAULTS, Options
from aeformat.transport.http_fields import DIGEST
from aeformat.transport.messages import Lost, Request, Response
from aeformat.transport.problems import AFTER, TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry

PAGE: Final = 1000  # containers in one answer
_MOST_BYTES: Final = 1 << 22  # of an answer
_PLACE: Final = re.compile(r"(.*/)(v1/(?:containers/[0-9a-f]{64}|models/[0-9a-f]{64}|uploads/[0-9a-f]{32}))")


@dataclass(frozen=True, slots=True)
class StoredContainer:
    """A container of the caller's.  stored: when, RFC 3339."""

    sha256: str
    n_bytes: int
    stored: str


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload of the caller's that has not ended.  length: None if nobody has said it.  created, expires: RFC 3339."""

    id: str
    offset: int
    length: int | None
    created: str
    expires: str


def containers(url: str, options: Options = DEFAULTS) -> Iterator[StoredContainer]:
    """The containers that the caller has on a server, in order of their digests.  Raises TransferFailed, UsageError."""
    with _client(url, options) as http:
        after: str | None = ""
        while after is not None:
            page = _listed(http, f"v1/containers?limit={PAGE}{after and f'&after={after}'}")
            for entry in _entries(page, "containers"):
                yield StoredContainer(_text(entry, "sha256"), _count(entry, "bytes"), _text(entry, "stored"))
            after = _next(page, after)


def uploads(url: str, options: Options = DEFAULTS) -> list[OpenUpload]:
    """The open uploads that the caller has on a server.  Raises TransferFailed, UsageError."""
    with _client(url, options) as http:
        found = _entries(_listed(http, "v1/uploads"), "uploads")
    return [
        OpenUpload(
            _text(entry, "id"),
            _count(entry, "offset"),
            None if entry.get("length") is None else _count(entry, "length"),
            _text(entry, "created"),
            _text(entry, "expires"),
        )
        for entry in found
    ]


def remove(url: str, options: Options = DEFAULTS) -> bool:
    """Remove a container, a model or an upload by its exact URL.  False if it is not there.

    Raises TransferFailed, UsageError.
    """
    match = _PLACE.fullmatch(url)
    if match is None:
        raise UsageError(f"{url}: is not the URL of a container, a model or an upload, as send and ls print it")
    with _client(match[1], options) as http:
        found, n_lost = _ask(http, Request("DELETE", match[2]))
    if found.status in (200, 204):
        return True
    if found.status in (404, 410):
        return n_lost > 0  # an answer that was lost may have been that of the removal
    raise found.refusal("removing")


def _client(url: str, options: Options) -> HttpClient:
    return HttpClient.to(ServerAddress.parse(url, token=options.token, ca_file=options.ca_file), options)


def _ask(http: HttpClient, request: Request) -> tuple[Response, int]:
    """Send a request, again where that may help.  Returns the response, and how often none came.  Raises TransferUnfinished."""
    retry, n_lost = Retry(SystemRandom()), 0
    while True:
        found = _whole(http, request)
        if isinstance(found, Response) and found.retry != AFTER:
            return found, n_lost
        n_lost += isinstance(found, Lost)
        reason = found.reason if isinstance(found, Lost) else str(found.refusal("asking"))
        seconds = retry.failed(None if isinstance(found, Lost) else found.retry_after)
        if seconds is None:
            raise TransferUnfinished(f"{reason}; gave up after {retry.spent}")
        http.tell(Waiting(seconds, reason))
        http.sleep(seconds)


def _whole(http: HttpClient, request: Request) -> Response | Lost:
    """The response with all of its body, which may be as long as a list."""
    with unmarked():
        try:
            with http.stream(request) as incoming:
                data = bytearray()
                for piece in incoming.body():
                    data += piece
                    if len(data) > _MOST_BYTES:
                        raise TransferFailed(f"the server's answer has more than {_MOST_BYTES:,} bytes")
                return Response(incoming.response.status, incoming.response.fields, bytes(data))
        except CONNECTION_ERRORS as error:
            return Lost(error_text(error))


def _listed(http: HttpClient, path: str) -> dict[str, Any]:
    found, _ = _ask(http, Request("GET", path, {"Accept": "application/json"}))
    if found.status in (404, 405):
        raise TransferFailed(
            f"the server has no list ({found.status}): it may be of a version before 1.1", found.status
        )
    if found.status != 200:
        raise found.refusal("listing")
    try:
        page = json.loads(found.body)
    except ValueError:
        page = None
    if not isinstance(page, dict):
        raise TransferFailed("the server's list is no JSON document")
    return page


def _entries(page: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = page.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TransferFailed(f"the server's list has no {name}")
    return entries


def _next(page: dict[str, Any], after: str) -> str | None:
    """Behind which digest the next page begins; None after the last one.  Raises TransferFailed if it does not go on."""
    found = page.get("next")
    if found is None:
        return None
    if not isinstance(found, str) or not DIGEST.fullmatch(found) or found <= after:
        raise TransferFailed("the server's list does not go on: the page after this one is none")
    return found


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.isprintable():
        raise TransferFailed(f"the server's list has an entry without {name}")
    return value


def _count(entry: dict[str, Any], name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TransferFailed(f"the server's list has an entry without {name}")
    return value
