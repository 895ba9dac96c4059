"""The field Upload-Limit as a client reads it: a dictionary of RFC 8941, whose known members the draft defines.

Owns the rule that one known member of a wrong type makes the whole field void (spec/transport.md, T5-13).  What is unknown is
skipped: other members, of any type, and all parameters.
"""

from __future__ import annotations

import re
from typing import Final

MEMBERS: Final = ("max-size", "min-size", "max-append-size", "min-append-size", "max-age")

_KEY = r"[a-z*][a-z0-9_.*-]*"
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,3})?"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_TOKEN = r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
_ITEM = rf"(?:{_NUMBER}|{_STRING}|{_TOKEN}|:[A-Za-z0-9+/=]*:|\?[01])"
_PARAMETERS = rf"(?:; *{_KEY}(?:={_ITEM})?)*"
_INNER_LIST = rf"\( *(?:{_ITEM}{_PARAMETERS}(?: +{_ITEM}{_PARAMETERS})* *)?\)"
_MEMBER: Final = re.compile(rf"({_KEY})(?:=({_INNER_LIST}|{_ITEM}))?{_PARAMETERS}")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")
_INTEGER: Final = re.compile(r"[0-9]{1,15}")  # a byte count or a number of seconds: no sign


def parse_limit(text: str) -> dict[str, int]:
    """The members of Upload-Limit that are known here.

    Empty if the field is malformed, or if one of them is not an integer.  Of a member that comes twice the last one counts.
    """
    members = _members(text.strip(" "))
    known = {name: value for name, value in (members or {}).items() if name in MEMBERS}
    if not all(_INTEGER.fullmatch(value) for value in known.values()):
        return {}
    return {name: int(value) for name, value in known.items()}


def _members(text: str) -> dict[str, str] | None:
    """All members with their values as text, without parameters; a member without a value is true, "?1".  None if malformed."""
    found: dict[str, str] = {}
    at = 0
    while match := _MEMBER.match(text, at):
        found[match[1]] = match[2] or "?1"
        if match.end() == len(text):
            return found
        comma = _COMMA.match(text, match.end())
        if comma is None:
            return None
        at = comma.end()
    return None
