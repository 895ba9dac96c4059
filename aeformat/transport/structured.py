"""Structured field values: Items and Dictionaries (RFC 9651), as far as the fields of the transport use them.

Owns the text form of Integers, Booleans and Byte Sequences.  Values of another type are read and reported as OTHER.  Parameters
are read and dropped: no field here gives one a meaning.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_KEY: Final = r"[a-z*][a-z0-9_.*-]*"
_BARE: Final = (
    r"(?:-?[0-9]{1,12}\.[0-9]{1,3}"  # a Decimal
    r"|-?[0-9]{1,15}"  # an Integer
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"'  # a String
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"  # a Token
    r"|:[A-Za-z0-9+/=]*:"  # a Byte Sequence
    r"|\?[01]"  # a Boolean
    r"|@-?[0-9]{1,15}"  # a Date
    r'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*")'  # a Display String
)
_PARAMETERS: Final = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_INNER_LIST: Final = rf"\( *(?:{_BARE}{_PARAMETERS}(?: +{_BARE}{_PARAMETERS})*)? *\)"
_ITEM: Final = re.compile(rf" *({_BARE}){_PARAMETERS} *")
_MEMBER: Final = re.compile(rf"({_KEY})(=(?:({_BARE})|{_INNER_LIST}))?{_PARAMETERS}")
_DICTIONARY: Final = re.compile(rf"{_MEMBER.pattern}(?:[ \t]*,[ \t]*{_MEMBER.pattern})*")
_INTEGER: Final = re.compile(r"-?[0-9]+")


class BadField(ValueError):
    """A header field does not have the form that its specification gives it."""


class Other:
    """The type of OTHER, which stands for a value of a type that no field here has."""


OTHER: Final = Other()
Value = int | bool | bytes | Other


def item(text: str) -> Value:
    """Parse an Item (RFC 9651, 4.2.3).  Raises BadField."""
    match = _ITEM.fullmatch(text)
    if match is None:
        raise BadField(f"{text[:40]!r} is no structured item")
    return _value(match[1])


def dictionary(text: str) -> dict[str, Value]:
    """Parse a Dictionary (RFC 9651, 4.2.2).  Of members with one key the last one counts.  Raises BadField."""
    text = text.strip(" ")
    if text and not _DICTIONARY.fullmatch(text):
        raise BadField(f"{text[:40]!r} is no structured dictionary")
    found: dict[str, Value] = {}
    for member in _MEMBER.finditer(text):
        key, value, bare = member.groups()
        found[key] = True if value is None else OTHER if bare is None else _value(bare)
    return found


def _value(text: str) -> Value:
    if text[0] == "?":
        return text == "?1"
    if text[0] == ":":
        try:
            return base64.b64decode(text[1:-1] + "=" * (-len(text[1:-1]) % 4), validate=True)
        except binascii.Error:
            raise BadField(f"{text[:40]!r} is no base64") from None
    return int(text) if _INTEGER.fullmatch(text) else OTHER
