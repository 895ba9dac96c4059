"""As much of ABNF (RFC 5234) as spec/text19.abnf uses, turned into a regular expression."""

from __future__ import annotations

import re

_TOKEN = re.compile(r'\s+|("[^"]*"|%x[0-9A-F]+(?:-[0-9A-F]+)?|[0-9]*\*|[0-9]+|[A-Za-z][\w-]*|[()/])')


def expression(text: str) -> re.Pattern[bytes]:
    """What the first rule of the text matches."""
    lines = [line.partition(";")[0] for line in text.splitlines()]
    rules = {name.strip(): body for name, _, body in (line.partition("=") for line in lines if "=" in line)}
    return re.compile(_rule(rules, next(iter(rules))), re.DOTALL)


def _rule(rules: dict[str, str], name: str) -> bytes:
    return _group(rules, [match[1] for match in _TOKEN.finditer(rules[name]) if match[1]])


def _group(rules: dict[str, str], tokens: list[str]) -> bytes:
    """Alternatives, up to the closing bracket or the end."""
    made, repeat = b"(?:", b""
    while tokens and (token := tokens.pop(0)) != ")":
        if token == "/":
            made += b"|"
        elif token.endswith("*"):
            repeat = b"{%s,}" % (token[:-1] or "0").encode()
        elif token.isdigit():
            repeat = b"{%s}" % token.encode()
        else:
            made += _element(rules, token, tokens) + repeat
            repeat = b""
    return made + b")"


def _element(rules: dict[str, str], token: str, tokens: list[str]) -> bytes:
    if token == "(":
        return _group(rules, tokens)
    if token.startswith('"'):
        return re.escape(token[1:-1].encode())
    if token.startswith("%x"):
        first, _, last = token[2:].partition("-")
        return b"[\\x%s-\\x%s]" % (first.encode(), (last or first).encode())
    return _rule(rules, token)
