"""Codec rans with passes (container.md, section 6.1), one symbol after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import SpecError
from .rans import MAX_STEPS, STEPS_A_BYTE
from .sizes import Entry, count, rows_of

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))  # y mod 2, x mod 2
FULL = 4  # the grid of all positions, beside those of the phases
MAX_MADE = 536_870_912


@dataclass
class Passes:
    """layers: a model of its own, whose value k is value k here.  grids: of each value.  layer_of: what makes a value."""

    bits: int
    lo: int
    n: int
    tables: list[list[int]]
    groups: list[int]
    outputs: list[list[int]]
    layers: Any
    grids: list[int]
    layer_of: Callable[..., list[Any]] | None = None


def grid_size(grid: int, h: int, w: int) -> tuple[int, int]:
    """Rows and columns of a grid."""
    if grid == FULL:
        return h, w
    y, x = PHASES[grid]
    return (h - y + 1) // 2, (w - x + 1) // 2


def count_lanes(data: bytes, entries: list[Entry], at: int) -> int:
    """C6-7."""
    total = sum(entry.n * count(entry.dims) for entry in entries)
    if data[0] > 10 or 1 << data[0] > total:
        raise SpecError("C6-7", at, f"2^{data[0]} lanes for {total} values")
    return int(1 << data[0])


def count_steps(passes: Passes, data: bytes, entries: list[Entry], used: int, at: int) -> int:
    """C6-8; the steps of this payload and of those before it."""
    lanes, units = count_lanes(data, entries, at), 0
    for entry in entries:
        h, w, _ = entry.dims
        sums, made = _row_sums(passes, h, w)
        if made > MAX_MADE:
            raise SpecError("C6-8", at, f"{made} elements")
        steps = 0
        for n_g in passes.groups:
            for p in range(4):
                h_p, w_p = grid_size(p, h, w)
                steps += (h_p * w_p * n_g + lanes - 1) // lanes
        n_layers = len(passes.layers.manifest["layers"])
        units += entry.n * (10_000 * n_layers + 16 * count(entry.dims) + 512 * steps + sums // 8)
    total = (units + 4_095) // 4_096
    if total > MAX_STEPS or used + total > MAX_STEPS + STEPS_A_BYTE * (at + len(data)):
        raise SpecError("C6-8", at, f"{total} steps after {used}")
    return used + total


def _row_sums(passes: Passes, h: int, w: int) -> tuple[int, int]:
    """Multiply-adds and 8 for each element; the elements."""
    sums = made = 0
    known = 5 * len(passes.groups)
    for j, layer in enumerate(passes.layers.manifest["layers"]):
        pixels = count(list(grid_size(passes.grids[known + j], h, w)))
        n = pixels * passes.layers.shapes[known + j][2]
        made += n
        sums += 8 * n
        if layer["kind"] == "conv2d":
            sums += pixels * count(passes.layers.tensors[layer["weights"]].shape)
        elif layer["kind"] == "affine":
            sums += n
        elif layer["kind"] == "add":
            sums += n * len(layer["inputs"])
    return sums, made


def read_code(data: bytes, entries: list[Entry], passes: Passes | None, at: int) -> bytes:
    """The raw payload that a stored one stands for, after `count_lanes` and `count_steps`.

    Without the decoder the rules that need none are checked, and LookupError says that the rest takes it.
    """
    lanes = 2 ** data[0]
    # C6-9
    if len(data) < 1 + 4 * lanes or len(data) % 2 == 0:
        raise SpecError("C6-9", at, f"{len(data)} bytes")
    # C6-10
    states = [int.from_bytes(data[1 + 4 * lane : 5 + 4 * lane], "little") for lane in range(lanes)]
    if min(states) < 65_536:
        raise SpecError("C6-10", at, f"a state of {min(states)}")
    if passes is None:
        raise LookupError("the decoder is not at hand")
    whole, n = 2**passes.bits, passes.n
    equal = [whole * (s + 1) // n - whole * s // n for s in range(n)]
    next_word = 1 + 4 * lanes
    wrong_escapes = 0

    def symbol(lane: int, frequencies: list[int]) -> int:
        nonlocal next_word
        x = states[lane]
        slot = x % whole
        s = cum = 0
        while slot >= cum + frequencies[s]:
            cum += frequencies[s]
            s += 1
        x = frequencies[s] * (x // whole) + slot - cum
        if x < 65_536:
            # C6-11
            if next_word == len(data):
                raise SpecError("C6-11", at, "there is no word left")
            x = x * 65_536 + data[next_word] + 256 * data[next_word + 1]
            next_word += 2
        states[lane] = x
        return s

    out = bytearray()
    for entry in rows_of(entries):
        h, w, channels = entry.dims
        row: list[int | None] = [None] * count(entry.dims)  # not yet decoded
        first = 0
        for number, (mean_value, pick_value) in enumerate(passes.outputs):
            n_g, p = passes.groups[number // 4], number % 4
            if p == 0 and number > 0:
                first += passes.groups[number // 4 - 1]
            h_p, w_p = grid_size(p, h, w)
            if h_p == 0 or w_p == 0:
                continue
            results: dict[int, list[Any]] = {}
            means, picks = (_value(passes, v, row, (h, w, channels), results) for v in (mean_value, pick_value))
            symbols = [symbol(j % lanes, passes.tables[int(pick)]) for j, pick in enumerate(picks)]
            escapes = [j for j, s in enumerate(symbols) if s == n]
            for i, j in enumerate(escapes):
                symbols[j] = symbol(i % lanes, equal)
                wrong_escapes += passes.tables[int(picks[j])][symbols[j]] > 0
            y, x = PHASES[p]
            for j, s in enumerate(symbols):
                a, b, c = j // (w_p * n_g), j // n_g % w_p, j % n_g
                z = passes.lo + (s + int(means[j]) - passes.lo) % n
                row[((2 * a + y) * w + 2 * b + x) * channels + first + c] = z
        out += bytes(int(z or 0) % 256 for z in row)
    # C6-11
    if next_word < len(data):
        raise SpecError("C6-11", at, "words are left over")
    # C6-12
    if set(states) != {65_536}:
        raise SpecError("C6-12", at, f"the states at the end are {states}")
    # C6-13
    if wrong_escapes:
        raise SpecError("C6-13", at, f"{wrong_escapes} escapes of symbols that have a frequency")
    return bytes(out)


def _value(
    passes: Passes, number: int, row: list[int | None], dims: tuple[int, int, int], results: dict[int, list[Any]]
) -> list[Any]:
    """The numbers of a value, from what it depends on, and from nothing else."""
    if number in results:
        return results[number]
    h, w, channels = dims
    known = 5 * len(passes.groups)
    if number < known:
        g, k = divmod(number, 5)
        first = sum(passes.groups[:g])
        made: list[Any] = []
        for y in range(h):
            for x in range(w):
                p = PHASES.index((y % 2, x % 2))
                of = row[(y * w + x) * channels + first : (y * w + x) * channels + first + passes.groups[g]]
                made += of if p < k else [0] * len(of)
        assert None not in made, "M10-9"
    else:
        layer = passes.layers.manifest["layers"][number - known]
        xs = [_value(passes, i, row, dims, results) for i in layer["inputs"]]
        shapes = [[*grid_size(passes.grids[i], h, w), passes.layers.shapes[i][2]] for i in [*layer["inputs"], number]]
        assert passes.layer_of
        made = passes.layer_of(passes.layers, layer, xs, shapes[:-1], shapes[-1])
    results[number] = made
    return made
