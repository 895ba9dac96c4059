"""Draws the state diagrams of spec/transport.md from the tables of aeformat.transport.

python tools/transport_diagrams.py            says whether the page is up to date
python tools/transport_diagrams.py --write    brings it up to date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from aeformat.transport import fetch_client, resolver, upload_client, upload_states
from aeformat.transport.problems import PROBLEMS

PAGE = Path(__file__).resolve().parent.parent / "spec" / "transport.md"
MACHINES: dict[str, Mapping[Any, Mapping[Any, Enum]]] = {
    "T3-1": upload_states.NEXT,
    "T3-2": upload_client.NEXT,
    "T3-3": fetch_client.NEXT,
    "T9-1": resolver.NEXT,
}


def diagram(table: Mapping[Any, Mapping[Any, Enum]]) -> str:
    """One machine in Mermaid's notation."""
    first = next(iter(table))
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}"]
    for state, following in table.items():
        lines += [f"    {state.value} --> {to.value}: {event.value}" for event, to in following.items()]
        if not following:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```"])


def problem_table() -> str:
    """Table T6-1."""
    lines = ["| status | type | retry | |", "|---|---|---|---|"]
    lines += [f"| {p.status} | `{p.slug}` | {p.retry} | {p.title}. |" for p in PROBLEMS.values()]
    return "\n".join(lines)


def updated(text: str) -> str:
    """The page with every generated block as the code has it."""
    blocks = {name: diagram(table) for name, table in MACHINES.items()} | {"T6-1": problem_table()}
    for name, block in blocks.items():
        pattern = rf"(<!-- from the code: {name} -->\n).*?(<!-- end -->)"
        escaped = block.replace("\\", r"\\")  # in a replacement, a backslash begins a group
        text, n_found = re.subn(pattern, rf"\g<1>{escaped}\n\g<2>", text, flags=re.S)
        if n_found != 1:
            raise SystemExit(f"{PAGE.name} has {n_found} places for {name}")
    return text


def main() -> int:
    """0 if the page is up to date."""
    text = PAGE.read_text(encoding="utf-8")
    new = updated(text)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    print(f"{PAGE.name}: {'up to date' if new == text else 'out of date: run with --write'}")
    return int(new != text)


if __name__ == "__main__":
    sys.exit(main())
