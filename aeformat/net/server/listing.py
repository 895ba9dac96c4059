"""The answer to GET v1/containers: a tenant's containers, a page at a time (spec/transport.md, T2-11).

Owns the two query parameters and the form of the JSON document.  Which containers there are, the storage knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final

from starlette.datastructures import QueryParams

from aeformat.net.server.records import Stored
from aeformat.transport import http_fields
from aeformat.transport.problems import Problem

_MOST: Final = 1000
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,3}")


def page_asked(query: QueryParams) -> tuple[str, int]:
    """The digest that the page begins behind ("" for the first page), and the most containers on it.  Raises Problem
    (400)."""
    after, limit = query.get("after"), query.get("limit", str(_MOST))
    if after is not None and not http_fields.DIGEST.fullmatch(after):
        raise Problem("bad-request", "after is not a digest: 64 small hexadecimal digits")
    if not _LIMIT.fullmatch(limit) or int(limit) > _MOST:
        raise Problem("bad-request", f"limit is not a number from 1 to {_MOST}")
    return after or "", int(limit)


def page(find: Callable[[str, int], list[Stored]], after: str, limit: int) -> dict[str, object]:
    """The document with the next containers.  find: gives at most so many containers, in order, behind a digest."""
    found = find(after, limit + 1)  # the one more tells whether there is a next page
    document: dict[str, object] = {"containers": [_entry(stored) for stored in found[:limit]]}
    if len(found) > limit:
        document["next"] = found[limit - 1].record.sha256
    return document


def _entry(stored: Stored) -> dict[str, object]:
    when = datetime.fromtimestamp(stored.when, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"sha256": stored.record.sha256, "bytes": stored.record.size, "stored": when}
