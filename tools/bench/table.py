"""The results as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tools.bench.figures import COLUMNS, best, bytes_a_row, median, peak_mb, ratio
from tools.bench.flips import N_FLIPS
from tools.bench.goals import Goal, goals
from tools.bench.rivals.all import OURS, RIVALS

_HEAD: Final = f"""# Formats beside one another

Written by `python -m tools.bench`; do not edit. Each figure is measured in a process of its own, round after round, all contenders one after another in
each round. A cell has the median of the rounds, then the best, then in parentheses how many times as fast `aef` was: the median of
the ratios within rounds. MB are 10^6 bytes of the array in memory. Files lie in the system's cache, and in memory where
`work` says tmpfs, so disks are not measured, nor what it costs to wait for one (`aef` asks for its file to be on disk before it has its name; the others do not ask).

- **read**: from the path to all rows in an array. **open**: until a row could be asked for. **one row**, **256 rows**: of an open file, at random, in no order;
  with names, a row and its name. Caches of decoded chunks are off in `aef`, as a real set does not fit into one.
- **memory**: peak beyond the array itself, MB, while all is written / read.
- **flipped bits**: {N_FLIPS} single bits, one after another, anywhere in the files of 256 KiB of rows: how many are refused by an error; `wrong` are read as wrong rows,
  and nobody is told; the rest does not change the rows. `ends` are those where the process ends or hangs.
"""


def report(results: dict[str, Any]) -> str:
    """results: what __main__ writes as JSON."""
    parts = [_HEAD, "## Goals\n", goal_table(goals(results))]
    for name, data in results["data"].items():
        parts += [f"## {name}: {data['label']}\n", _about(data), table(data), f"![{name}](formats-{name}.png)\n"]
    parts += ["## How each is used\n", used(name for name in RIVALS)]
    return "\n".join(parts)


def goal_table(found: Iterable[Goal]) -> str:
    """One row a goal."""
    lines = ["| data | what | wanted | measured | |", "|---|---|---|---|---|"]
    for goal in found:
        wanted = f"{'at most' if goal.is_most else 'at least'} {goal.wanted:g}"
        measured = "not measured" if goal.found is None else f"{goal.found:,.2f}"
        verdict = {None: "", True: "reached", False: "**not reached**"}[goal.is_reached]
        lines.append(f"| {goal.data} | {goal.what} | {wanted} | {measured} | {verdict} |")
    return "\n".join([*lines, ""])


def _about(data: dict[str, Any]) -> str:
    shape = " x ".join(map(str, data["dims"]))
    versions = ", ".join(f"{name} {number}" for name, number in sorted(data["versions"].items()))
    source = f", of {data['images']}" if data["images"] else ""
    return (
        f"{data['rows']:,} rows of {shape} {data['type']}{source}, {data['bytes'] / 1e6:,.1f} MB; {data['rounds']} rounds on {data['date']}. "
        f"{data['machine']}; work: {data['work']}. {versions}; aeformat/ of {data['source']}.\n"
    )


def table(data: dict[str, Any]) -> str:
    """One row a contender."""
    labels = ["what", "bytes a row", *(column.label for column in COLUMNS.values()), "memory", "flipped bits"]
    lines = [f"| {' | '.join(labels)} |", "|---" * len(labels) + "|"]
    for name in data["contenders"]:
        cells = [name, f"{bytes_a_row(data, name):,.1f}", *(_cell(data, name, column) for column in COLUMNS)]
        cells += [_memory(data, name), _flips(data["contenders"][name]["flips"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", *(f"Not measured: {name}: {why}." for name, why in data["left_out"].items()), *_noise(data), ""]
    )


def _noise(data: dict[str, Any]) -> list[str]:
    """How far apart two figures are that should be one."""
    found = ratio(data, OURS, "aef, forward", "write")
    if found is None:
        return []
    return [
        f"How even the machine was: `aef` and `aef, forward` write the same file in the same way; here the first was {found:.2f} times as fast.",
        "",
    ]


def _cell(data: dict[str, Any], name: str, column: str) -> str:
    middle, top = median(data, name, column), best(data, name, column)
    if middle is None or top is None:
        return "-"
    against = None if name == OURS else ratio(data, OURS, name, column)
    return f"{_short(middle)}, {_short(top)}" + ("" if against is None else f" ({against:.2f})")


def _short(figure: float) -> str:
    return f"{figure:,.1f}" if figure < 100 else f"{figure:,.0f}"


def _memory(data: dict[str, Any], name: str) -> str:
    peaks = (peak_mb(data, name, do) for do in ("write", "read"))
    return " / ".join("-" if peak is None else f"{peak:,.0f}" for peak in peaks)


def _flips(found: dict[str, int]) -> str:
    parts = [f"{found['refused']} refused"]
    parts += [f"{found[key]} {said}" for key, said in (("wrong", "wrong"), ("crashed", "ends")) if found[key]]
    return ", ".join(parts)


def used(names: Iterable[str]) -> str:
    """What is set in each, and how its users keep names."""
    lines = ["| what | settings | names |", "|---|---|---|"]
    lines += [f"| {name} | {RIVALS[name].settings} | {RIVALS[name].names or '-'} |" for name in names]
    return "\n".join([*lines, ""])
