"""Errors: the rule that is broken and the byte it is broken at.

The codes are those beside the rules in container.md and model.md.
"""

from __future__ import annotations

_SAME_CODE = {
    "not-aef": "C2-1",
    "unsupported": "C2-2 C2-4 C3-9 C4-5",
    "checksum": "C2-3 C2-6 C4-2 C4-11 C9-2",
    "limit": "C2-5 C3-13 C6-8 C13-1",
    "truncated": "C2-7 C4-1 C4-10 C9-1",
    "structure": "C4-3 C4-4 C4-6 C4-7 C4-8 C4-9 C7-4 C7-5 C8-1 C9-3 C9-4 C9-7 C22-1 C22-2 M1-1 M1-3",
    "content": "C9-5 C9-6",
    "golden": "M6-2",
    "receipt": "C7-6",
    "value": "M4-7",
}
_CODES = {rule: code for code, rules in _SAME_CODE.items() for rule in rules.split()}
_CODES_OF_SECTIONS = {"C3": "header", "C5": "value", "C6": "compression", "C7": "names", "M": "manifest"}


class SpecError(Exception):
    """The bytes break the specification.  rule: "C4-1".  at: byte offset in the file."""

    def __init__(self, rule: str, at: int, what: str, code: str | None = None) -> None:
        super().__init__(rule, at, what, code)
        if code is None:
            section = rule.split("-")[0]
            code = _CODES.get(rule) or _CODES_OF_SECTIONS.get(section) or _CODES_OF_SECTIONS[section[0]]
        self.code, self.rule, self.at, self.what = code, rule, at, what

    def __str__(self) -> str:
        return f"{self.what} (rule {self.rule}, byte {self.at}, {self.code})"
