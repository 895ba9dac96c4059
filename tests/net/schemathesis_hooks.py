"""Bodies for schemathesis, which sends them as they are: containers, good and bad."""

from __future__ import annotations

import schemathesis


@schemathesis.serializer("application/vnd.aeformat", "application/partial-upload")
def raw_bytes(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
