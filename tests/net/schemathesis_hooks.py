"""Bodies of containers, for schemathesis: it sends what it made up, as it is."""

from __future__ import annotations

import schemathesis


@schemathesis.serializer("application/vnd.aeformat", "application/partial-upload")
def raw_bytes(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
