"""The results as a table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

OURS: Final = "aeformat"


def rate(runs: Sequence[dict[str, Any]]) -> float:
    """Median rows a second."""
    return statistics.median(float(run["rows_a_second"]) for run in runs)


def against(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> float:
    """The median over rounds of how many times faster ours was in that round."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(float(own["rows_a_second"] / other["rows_a_second"]) for own, other in pairs)


def size_table(results: dict[str, Any]) -> str:
    """What the files take, which no machine changes."""
    data = results["data"]
    heads = [f"{one['rows']:,} rows of 4 x {one['size']} x {one['size']}, MB" for one in data]
    lines = [f"| what | files | {' | '.join(heads)} |", "|---|---|" + "---|" * len(data)]
    for name in data[0]["contenders"]:
        found = [one["contenders"][name] for one in data]
        sizes = [f"{one['bytes'] / 1e6:,.1f}" for one in found]
        files = (
            "one a row"
            if found[0]["files"] == data[0]["rows"]
            else " and ".join(dict.fromkeys(f"{one['files']:,}" for one in found))
        )
        lines.append(f"| {name} | {files} | {' | '.join(sizes)} |")
    return "\n".join(lines)


def table(results: dict[str, Any]) -> str:
    """results: what __main__ writes as JSON."""
    lines = []
    for data in results["data"]:
        columns = _columns(results["workers"], data["contenders"].values())
        if not columns:
            continue
        lines += [
            f"{data['rows']:,} rows of 4 x {data['size']} x {data['size']} bf16, batches of {results['batch_size']}, "
            f"rounds: {results['rounds']}, medians: rows a second, by number of workers; in parentheses how many times as fast aeformat was",
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


def _columns(workers: Sequence[int], contenders: Iterable[dict[str, Any]]) -> list[str]:
    """Those that all contenders have been measured in."""
    columns = [f"{kind} {n}" for kind in ("cold", "warm") for n in workers]
    measured = [found["runs"] for found in contenders]
    return [column for column in columns if all(runs.get(column) for runs in measured)]


def _cell(runs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]], name: str) -> str:
    own = f"{rate(runs):,.0f}"
    return own if name == OURS else f"{own} ({against(ours, runs):.2f})"
