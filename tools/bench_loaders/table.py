"""The results as a table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

OURS: Final = "aeformat"


def rate(runs: Sequence[dict[str, Any]]) -> float:
    """Median rows a second."""
    return statistics.median(float(run["rows_a_second"]) for run in runs)


def against(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> float:
    """The median over rounds of how many times faster ours was in that round."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(float(own["rows_a_second"] / other["rows_a_second"]) for own, other in pairs)


def table(results: dict[str, Any]) -> str:
    """results: what __main__ writes as JSON."""
    lines = []
    for data in results["data"]:
        workers = results["workers"]
        columns = [f"{kind} {n}" for kind in ("cold", "warm") for n in workers]
        lines += [
            f"{data['rows']:,} rows of 4 x {data['size']} x {data['size']} bf16, batches of {results['batch_size']}, "
            f"median of {results['rounds']} rounds: rows a second, by number of workers; in parentheses how many times as fast aeformat was",
            "",
            f"| what | MB | files | {' | '.join(columns)} |",
            f"|---|---|---|{'---|' * len(columns)}",
        ]
        for name, found in data["contenders"].items():
            ours = data["contenders"][OURS]
            cells = [_cell(found["runs"][column], ours["runs"][column], name) for column in columns]
            lines.append(f"| {name} | {found['bytes'] / 1e6:,.1f} | {found['files']:,} | {' | '.join(cells)} |")
        lines += ["", *(f"Not measured: {name}: {why}." for name, why in data["left_out"].items()), ""]
    versions = ", ".join(f"{name} {number}" for name, number in sorted(results["versions"].items()))
    return "\n".join([*lines, f"{results['machine']}; {versions}.", ""])


def _cell(runs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]], name: str) -> str:
    own = f"{rate(runs):,.0f}"
    return own if name == OURS else f"{own} ({against(ours, runs):.2f})"
