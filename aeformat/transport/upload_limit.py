"""The field Upload-Limit as a client reads it: a dictionary of RFC 9651, whose known members the draft defines.

Owns the rule that one known member of a wrong type makes the whole field void (spec/transport.md, T5-13).  What is unknown is
skipped: other members, of any type, and all parameters.
"""

from __future__ import annotations

from typing import Final

from aeformat.transport import structured
from aeformat.transport.structured import BadField

MEMBERS: Final = ("max-size", "min-size", "max-append-size", "min-append-size", "max-age")


def parse_limit(text: str) -> dict[str, int]:
    """The members of Upload-Limit that are known here.

    Empty if the field is malformed, or if one of them is not an integer.  Of a member that comes twice the last one counts.
    """
    try:
        known = {name: value for name, value in structured.dictionary(text).items() if name in MEMBERS}
    except BadField:
        return {}
    counts = {name: value for name, value in known.items() if isinstance(value, int) and not isinstance(value, bool)}
    return counts if len(counts) == len(known) and min(counts.values(), default=0) >= 0 else {}
