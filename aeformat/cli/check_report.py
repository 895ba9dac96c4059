"""What `aeformat check` says: as lines, as plain values, as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aeformat.cli.advice import BAD, INCOMPLETE, NO_DECODER, gravest
from aeformat.cli.streams import shown
from aeformat.staleness.compare import CURRENT, STATES

if TYPE_CHECKING:
    from aeformat.staleness.check import Checked
    from aeformat.staleness.update import Updated

_MOST_NAMES: Final = 10  # of a kind that are printed


def exit_code_of(checked: Checked) -> int:
    """4 for the decoder, 1 for rows or preprocessing, 3 where only images are missing."""
    codes = [NO_DECODER] * checked.is_decoder_stale + [INCOMPLETE] * bool(checked.new)
    codes += [BAD] * bool(checked.described or any(state != CURRENT for state in checked.states))
    return gravest(codes)


def as_dict(checked: Checked) -> dict[str, Any]:
    """The report as plain values."""
    named, given = (number.hex() or None for number in checked.decoder_ids)
    differences = [{"key": key, "said": _plain(said), "now": _plain(now)} for key, said, now in checked.described]
    rows = {
        state: [
            {"row": number, "name": checked.rows[number].name}
            | ({"now": checked.renamed[number]} if number in checked.renamed else {})
            for number in checked.numbers(state)
        ]
        for state in STATES
        if state != CURRENT
    }
    return {
        "file": checked.name,
        "rows": len(checked.rows),
        "images": checked.images,
        "left_out": checked.left_out,
        "is_current": checked.is_current,
        "decoder": {"state": checked.decoder, "named": named, "given": given},
        "preprocessing": {"compared": checked.is_described_compared, "differences": differences},
        "counts": {state: len(checked.numbers(state)) for state in STATES} | {"new": len(checked.new)},
        **rows,
        "new": list(checked.new),
    }


def print_report(checked: Checked, updated: Updated | None) -> None:
    """The report for people; updated: what was done before it."""
    name = shown(checked.name)
    if updated is not None:
        counts = ", ".join(f"{count} {what}" for what, count in done(updated).items() if what != "left_behind")
        print(f"{name}: {counts}")
        for path in updated.left_behind:
            print(f"  no longer in the set: {shown(str(path))}")
    print(f"{name}: {len(checked.rows):,} rows, {checked.images:,} images")
    for state in STATES:
        numbers = checked.numbers(state)
        if numbers or state == CURRENT:
            print(f"  {state:8} {len(numbers):,}{_names(checked, numbers) if state != CURRENT else ''}")
    if checked.new:
        print(f"  {'new':8} {len(checked.new):,}{_in_short(list(checked.new))}")
    print(f"  decoder: {checked.decoder}{_ids(checked)}")
    if not checked.is_described_compared:
        print("  preprocessing: not compared")
    for difference in checked.described:
        print(f"  preprocessing: {shown(str(difference))}")
    if checked.is_described_compared and not checked.described:
        print("  preprocessing: the same")


def _names(checked: Checked, numbers: list[int]) -> str:
    named = []
    for number in numbers[: _MOST_NAMES + 1]:
        name = checked.rows[number].name or f"row {number}"
        named.append(f"{name} -> {checked.renamed[number]}" if number in checked.renamed else name)
    return _in_short(named, len(numbers))


def _in_short(names: list[str], count: int | None = None) -> str:
    count = len(names) if count is None else count
    more = f", and {count - _MOST_NAMES:,} more" if count > _MOST_NAMES else ""
    return f"  ({', '.join(map(shown, names[:_MOST_NAMES]))}{more})"


def _ids(checked: Checked) -> str:
    named, given = checked.decoder_ids
    return f" ({named.hex()[:12]} in the file, {given.hex()[:12]} given)" if checked.decoder == "another" else ""


def done(updated: Updated) -> dict[str, Any]:
    """What an update did, as plain values."""
    return {
        "encoded": updated.encoded, "new": updated.new, "kept": updated.kept,
        "renamed": updated.renamed, "pruned": updated.pruned,
        "left_behind": [str(path) for path in updated.left_behind],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value
