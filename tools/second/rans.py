"""Codec rans (container.md, section 6.1) and the prior that it reads (model.md, section 10), one symbol after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import SpecError

MAX_STEPS = 1_048_576
STEPS_A_BYTE = 16


@dataclass
class Prior:
    """lo, n: the symbols are n integers from lo on.  tables: one list of frequencies each.  means, picks: one list a class."""

    bits: int
    lo: int
    n: int
    classes: list[int]
    tables: list[list[int]]
    means: list[list[int]]
    picks: list[list[int]]


def check_prior_shapes(model: Any) -> None:
    """M10-1 and M10-2, which the manifest alone tells."""
    prior, takes = model.manifest["prior"], model.manifest["input"]
    # M10-1
    if takes["type"] not in ("u8", "i8"):
        raise model.error("M10-1", f"a prior of {takes['type']}")
    if "passes" in prior:
        return
    # M10-2
    lo, hi = endpoint_range(takes)
    classes, tables, means, picks = (model.tensors[prior[key]] for key in ("classes", "tables", "means", "picks"))
    if (classes.type, tables.type, means.type, picks.type) != ("i32", "i32", "u8", "u8"):
        raise model.error("M10-2", "types of the prior's tensors")
    if len(classes.shape) != 1 or classes.shape[0] > 4_096:
        raise model.error("M10-2", f"classes {classes.shape}")
    if len(tables.shape) != 2 or tables.shape[0] > 256 or tables.shape[1] != hi - lo + 1:
        raise model.error("M10-2", f"tables {tables.shape}")
    if means.shape != classes.shape + takes["shape"] or picks.shape != means.shape:
        raise model.error("M10-2", f"means {means.shape}, picks {picks.shape}")


def endpoint_range(endpoint: dict[str, Any]) -> tuple[int, int]:
    return tuple(endpoint.get("range", (0, 255) if endpoint["type"] == "u8" else (-128, 127)))


def read_prior(model: Any) -> Prior:
    """M10-3 to M10-5, and the prior."""
    prior = model.manifest["prior"]
    lo, hi = endpoint_range(model.manifest["input"])
    whole, n = 2 ** prior["bits"], hi - lo + 1
    numbers = {
        key: [int(x) for x in model.tensors[prior[key]].values] for key in ("classes", "tables", "means", "picks")
    }
    # M10-3
    if min(numbers["classes"]) < 1 or sum(numbers["classes"]) != whole:
        raise model.error("M10-3", "frequencies of the classes")
    # M10-4
    tables = [numbers["tables"][i : i + n] for i in range(0, len(numbers["tables"]), n)]
    for table in tables:
        if min(table) < 1 or sum(table) != whole:
            raise model.error("M10-4", f"a table of sum {sum(table)}")
    # M10-5
    if max(numbers["means"]) >= n or max(numbers["picks"]) >= len(tables):
        raise model.error("M10-5", "a mean or a pick is too large")
    n_values = len(numbers["means"]) // len(numbers["classes"])
    means, picks = (
        [numbers[key][i : i + n_values] for i in range(0, len(numbers[key]), n_values)] for key in ("means", "picks")
    )
    return Prior(prior["bits"], lo, n, numbers["classes"], tables, means, picks)


def count_steps(data: bytes, n_rows: int, n_values: int, used: int, at: int) -> int:
    """C6-7 and C6-8; the steps of a payload at byte `at`, and those of the payloads before it."""
    # C6-7
    lanes = 1 << data[0]
    if data[0] > 10 or lanes > n_rows:
        raise SpecError("C6-7", at, f"{lanes} lanes for {n_rows} rows")
    # C6-8
    steps = (n_rows + lanes - 1) // lanes * (n_values + 1)
    if steps > MAX_STEPS or used + steps > MAX_STEPS + STEPS_A_BYTE * (at + len(data)):
        raise SpecError("C6-8", at, f"{steps} steps after {used}")
    return used + steps


def read_code(data: bytes, n_rows: int, n_values: int, prior: Prior | None, at: int) -> bytes:
    """The raw payload that a stored one stands for, after `count_steps`.  at: the payload, the byte of every error here.

    Without the prior the rules that need none are checked, and LookupError says that the rest takes the decoder.
    """
    lanes = 2 ** data[0]
    # C6-9
    if len(data) < 1 + 4 * lanes or len(data) % 2 == 0:
        raise SpecError("C6-9", at, f"{len(data)} bytes")
    # C6-10
    states = [int.from_bytes(data[1 + 4 * lane : 5 + 4 * lane], "little") for lane in range(lanes)]
    if min(states) < 65_536:
        raise SpecError("C6-10", at, f"a state of {min(states)}")
    if prior is None:
        raise LookupError("the decoder is not at hand")
    next_word = 1 + 4 * lanes

    def symbol(lane: int, frequencies: list[int]) -> int:
        nonlocal next_word
        x = states[lane]
        slot = x % 2**prior.bits
        s = cum = 0
        while slot >= cum + frequencies[s]:
            cum += frequencies[s]
            s += 1
        x = frequencies[s] * (x // 2**prior.bits) + slot - cum
        if x < 65_536:
            # C6-11
            if next_word == len(data):
                raise SpecError("C6-11", at, "there is no word left")
            x = x * 65_536 + data[next_word] + 256 * data[next_word + 1]
            next_word += 2
        states[lane] = x
        return s

    out = bytearray(n_rows * n_values)
    for first in range(0, n_rows, lanes):
        block = range(first, min(first + lanes, n_rows))
        classes = [symbol(row - first, prior.classes) for row in block]
        for d in range(n_values):
            for row, k in zip(block, classes, strict=True):
                s = symbol(row - first, prior.tables[prior.picks[k][d]])
                out[row * n_values + d] = (prior.lo + (s + prior.means[k][d]) % prior.n) % 256
    # C6-11
    if next_word < len(data):
        raise SpecError("C6-11", at, "words are left over")
    # C6-12
    if set(states) != {65_536}:
        raise SpecError("C6-12", at, f"the states at the end are {states}")
    return bytes(out)
