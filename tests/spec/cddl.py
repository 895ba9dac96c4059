"""As much of CDDL (RFC 8610) as spec/*.cddl uses, so that the schemas are run wherever the tests are.

Rules, maps, arrays, groups, choices, ranges, occurrences, `.size`, the prelude's any, tstr, bytes, bool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r'\s+|;[^\n]*|("[^"]*"|-?\d+|[A-Za-z_][\w-]*|\.\.|\.size|=>|[{}\[\]()=:/?*,])')
_PRELUDE = {
    "any": lambda _value: True,
    "tstr": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, bytes),
    "bool": lambda value: isinstance(value, bool),
}


@dataclass(frozen=True)
class Entry:
    """One line of a group.  key: a string, "=>" for any string, or None in arrays and for groups by name."""

    least: int
    most: float
    key: str | None
    type: Any


class Schema:
    """The first rule of the text, and those it uses."""

    def __init__(self, text: str) -> None:
        self._tokens = [match[1] for match in _TOKEN.finditer(text) if match[1]]
        assert "".join(self._tokens) == re.sub(r"\s+|;[^\n]*", "", text), "a character that this reader does not know"
        self._rules: dict[str, Any] = {}
        self._first = self._tokens[0]
        while self._tokens:
            name = self._take()
            self._take("=")
            self._rules[name] = self._type()

    def allows(self, value: object, rule: str | None = None) -> bool:
        """Whether the value is what a rule describes, by default the first one."""
        return self._check(self._rules[self._first if rule is None else rule], value)

    def _take(self, expected: str | None = None) -> str:
        token = self._tokens.pop(0)
        assert expected is None or token == expected, (expected, token, self._tokens[:5])
        return token

    def _next(self, *tokens: str) -> bool:
        return bool(self._tokens) and self._tokens[0] in tokens

    # A type is ("choice", types), ("range", lo, hi), ("size", type, n), ("literal", value), ("name", name),
    # ("map", entries), ("list", entries) or ("group", entries).

    def _type(self) -> Any:
        choices = [self._one_type()]
        while self._next("/"):
            self._take()
            choices.append(self._one_type())
        return choices[0] if len(choices) == 1 else ("choice", choices)

    def _one_type(self) -> Any:
        made = self._plain_type()
        if self._next(".."):
            self._take()
            return "range", made[1], self._plain_type()[1]
        if self._next(".size"):
            self._take()
            return "size", made, int(self._take())
        return made

    def _plain_type(self) -> Any:
        token = self._take()
        for opening, closing, kind in (("{", "}", "map"), ("[", "]", "list"), ("(", ")", "group")):
            if token == opening:
                entries = []
                while not self._next(closing):
                    entries.append(self._entry())
                    if self._next(","):
                        self._take()
                self._take(closing)
                return kind, entries
        if token.startswith('"'):
            return "literal", token[1:-1]
        return ("literal", int(token)) if token.lstrip("-").isdigit() else ("name", token)

    def _entry(self) -> Entry:
        least: int = 1
        most: float = 1
        if self._next("?"):
            self._take()
            least = 0
        elif self._next("*") or (self._tokens[0].isdigit() and self._tokens[1] == "*"):
            least = 0 if self._next("*") else int(self._take())
            self._take("*")
            most = int(self._take()) if self._tokens[0].isdigit() else float("inf")
        if len(self._tokens) > 1 and self._tokens[1] in (":", "=>"):
            name, sign = self._take(), self._take()
            return Entry(least, most, name if sign == ":" else "=>", self._type())
        return Entry(least, most, None, self._type())

    def _check(self, type: Any, value: Any) -> bool:
        kind = type[0]
        if kind == "choice":
            return any(self._check(choice, value) for choice in type[1])
        if kind == "range":
            return isinstance(value, int) and not isinstance(value, bool) and type[1] <= value <= type[2]
        if kind == "size":
            return self._check(type[1], value) and len(value) == type[2]
        if kind == "literal":
            return value == type[1] and isinstance(value, bool) is isinstance(type[1], bool)
        if kind == "name":
            return _PRELUDE[type[1]](value) if type[1] in _PRELUDE else self._check(self._rules[type[1]], value)
        if kind == "map":
            return isinstance(value, dict) and self._check_map(self._flat(type[1]), value)
        assert kind == "list", kind
        return isinstance(value, list) and self._check_list(type[1], value)

    def _flat(self, entries: list[Entry]) -> list[Entry]:
        """The entries, with groups that are named put in their place."""
        flat = []
        for entry in entries:
            flat += [entry] if entry.key is not None else self._flat(self._rules[entry.type[1]][1])
        return flat

    def _check_map(self, entries: list[Entry], value: dict[Any, Any]) -> bool:
        left = dict(value)
        for entry in entries:
            if entry.key == "=>":
                return all(isinstance(key, str) and self._check(entry.type, item) for key, item in left.items())
            if entry.key in left:
                if not self._check(entry.type, left.pop(entry.key)):
                    return False
            elif entry.least:
                return False
        return not left

    def _check_list(self, entries: list[Entry], value: list[Any]) -> bool:
        at = 0
        for entry in entries:
            count = 0
            while at < len(value) and count < entry.most and self._check(entry.type, value[at]):
                at, count = at + 1, count + 1
            if count < entry.least:
                return False
        return at == len(value)
