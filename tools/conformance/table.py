"""What was found, as Markdown."""

from __future__ import annotations

from typing import Any

from tools.card import markdown

_NOTHING = "–"


def readers_table(found: dict[str, Any]) -> str:
    """A row a reader: vectors, pixels, speed."""
    heading = [
        "reader", "vectors passed", "failed", "left out, as it says", "pixels compared", "pixels that differ",
        "digits a second", "photograph, 768 x 512",
    ]  # fmt: skip
    return markdown([heading, *(_row(name, reader) for name, reader in found["readers"].items())])


def _row(name: str, reader: dict[str, Any]) -> list[str]:
    vectors, decoded = reader["vectors"], reader["decoded"]
    left_out = "; ".join(f"{n:,}: {why}" for why, n in vectors["left_out"].items())
    pixels, differing = (sum(work[key] for work in decoded.values()) for key in ("pixels", "differing"))
    return [
        name, f"{vectors['passed']:,}", str(len(vectors["failed"])), left_out or _NOTHING, f"{pixels:,}" if decoded else _NOTHING,
        f"{differing:,}" if decoded else _NOTHING, _speed(decoded), _seconds(decoded.get("photograph")),
    ]  # fmt: skip


def _speed(decoded: dict[str, Any]) -> str:
    work = decoded.get("digits") or decoded.get("few digits")
    return f"{_rounded(work['images'] / work['seconds']):,}" if work else _NOTHING


def _seconds(work: dict[str, Any] | None) -> str:
    return f"{work['seconds']:.2f} s" if work else _NOTHING


def _rounded(number: float) -> int:
    """To three digits."""
    return int(float(f"{number:.3g}"))


def limits_table(found: dict[str, Any]) -> str:
    """Multiply-adds a second: what the core can do, and what each reader does."""
    rows = [["", "digits", "photograph"]]
    for name, reader in found["readers"].items():
        works = [reader["decoded"].get(name) for name in ("digits", "photograph")]
        if any(works):
            rows.append(
                [name, *(_rate(work["multiply_adds"] / work["seconds"]) if work else _NOTHING for work in works)]
            )
    for kind, rate in found["machine"]["multiply_adds_a_second"].items():
        rows.append([f"the core: NumPy's product of two matrices of 1,024 x 1,024, {kind}", _rate(rate), _rate(rate)])
    return markdown(rows)


def _rate(number: float) -> str:
    return f"{number / 1e9:.2f} G"


def sizes_table(found: dict[str, Any]) -> str:
    """Bytes of what is shipped."""
    rows = [["what", "bytes", "by gzip"]]
    rows += [[name, f"{size['bytes']:,}", f"{size['gzip']:,}"] for name, size in found["sizes"].items()]
    return markdown(rows)


def all_tables(found: dict[str, Any]) -> dict[str, str]:
    """By their names in docs/conformance.md."""
    return {"readers": readers_table(found), "limits": limits_table(found), "sizes": sizes_table(found)}
