"""The network of a prior with passes (model.md, section 10.1): its rules, which the manifest and then its tensors tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .passes import FULL, PHASES, Passes
from .rans import endpoint_range

KINDS = ("conv2d", "affine", "add", "concat", "slice", "lookup")


def form_fits(passes: Any, is_integers: Callable[..., bool]) -> bool:
    """M2-2, but for the number of layers and what they hold."""
    if not isinstance(passes, dict) or set(passes) != {"groups", "layers", "outputs"}:
        return False
    groups, outputs = passes["groups"], passes["outputs"]
    return (
        isinstance(groups, list)
        and 1 <= len(groups) <= 256
        and is_integers(groups, len(groups), 1, 2**28)
        and isinstance(passes["layers"], list)
        and len(passes["layers"]) >= 1
        and isinstance(outputs, list)
        and all(is_integers(pair, 2, 0, 2**53 - 1) for pair in outputs)
    )


def check_shapes(model: Any, check_layer: Callable[..., Any]) -> None:
    """M10-2, then M10-7 to M10-10; the passes are kept in `model.passes`."""
    prior, takes = model.manifest["prior"], model.manifest["input"]
    lo, hi = endpoint_range(takes)
    tables = model.tensors[prior["tables"]]
    # M10-2
    if tables.type != "i32" or len(tables.shape) != 2 or tables.shape[0] > 256 or tables.shape[1] != hi - lo + 2:
        raise model.error("M10-2", f"tables {tables.type} {tables.shape}")
    passes = prior["passes"]
    groups, layers, outputs = passes["groups"], passes["layers"], passes["outputs"]
    known = 5 * len(groups)
    # M10-7
    if sum(groups) != takes["shape"][2] or len(outputs) != 4 * len(groups):
        raise model.error("M10-7", f"groups {groups}, {len(outputs)} outputs")
    if max(map(max, outputs)) >= known + len(layers):
        raise model.error("M10-7", "an output that there is not")
    # M10-8, kinds
    for j, layer in enumerate(layers):
        if layer["kind"] not in KINDS:
            raise model.error("M10-8", f"layer {j} of the passes is {layer['kind']}")
    shapes = [[2, 2, n] for n in groups for _ in range(5)]
    types, grids = [takes["type"]] * known, [FULL] * known
    inner = replace(model, manifest={**model.manifest, "profile": "exact", "layers": layers})
    inner.shapes, inner.types = shapes, types
    for j, layer in enumerate(layers):
        sources = layer["inputs"]
        shape, type_ = check_layer(inner, j, layer, [shapes[i] for i in sources], [types[i] for i in sources])
        shapes.append(shape)
        types.append(type_)
        # M10-8
        grid = _grid(model, layer, [grids[i] for i in layer["inputs"]])
        if grid is None:
            raise model.error("M10-8", f"layer {j} of the passes does not go with the grids")
        grids.append(grid)
    # M10-9
    for number, pair in enumerate(outputs):
        for value in _leaves(pair, layers, known):
            g, k = divmod(value, 5)
            if k > 0 and 4 * g + k > number:
                raise model.error("M10-9", f"pass {number} depends on value {value}")
    taken = {i for layer in layers for i in layer["inputs"]} | {i for pair in outputs for i in pair}
    if not taken >= set(range(known, known + len(layers))):
        raise model.error("M10-9", "a value of the passes that nothing takes")
    # M10-10
    for number, (mean, pick) in enumerate(outputs):
        for value, allowed in ((mean, ("i8", "u8")), (pick, ("u8",))):
            fits = grids[value] == number % 4 and shapes[value][2] == groups[number // 4] and types[value] in allowed
            if not fits:
                raise model.error("M10-10", f"pass {number} has value {value}")
    model.passes = Passes(prior["bits"], lo, hi - lo + 1, [], groups, outputs, inner, grids)


def _grid(model: Any, layer: dict[str, Any], inputs: list[int]) -> int | None:
    """The grid of what a layer makes; None where the table of section 10.1 has no such layer."""
    if len(set(inputs)) > 1 or layer.get("axis", 2) != 2:
        return None
    if layer["kind"] != "conv2d":
        return inputs[0]
    kh, kw = model.tensors[layer["weights"]].shape[:2]
    if kh % 2 == 0 or kw % 2 == 0:
        return None
    a, b = (kh - 1) // 2, (kw - 1) // 2
    if layer["strides"] == [1, 1] and layer["padding"] == [a, a, b, b]:
        return inputs[0]
    if layer["strides"] == [2, 2] and kh >= 3 and kw >= 3 and inputs[0] == FULL:
        for p, (y, x) in enumerate(PHASES):
            if layer["padding"] == [a - y, a, b - x, b]:
                return p
    return None


def _leaves(values: list[int], layers: list[dict[str, Any]], known: int) -> set[int]:
    """The known values that these depend on."""
    found, seen, waiting = set(), set(), list(values)
    while waiting:
        value = waiting.pop()
        if value < known:
            found.add(value)
        elif value not in seen:
            seen.add(value)
            waiting += layers[value - known]["inputs"]
    return found


def read(model: Any, check_sums: Callable[..., Any]) -> Passes:
    """M10-4, section 4, and M10-11."""
    passes: Passes = model.passes
    numbers, width = [int(x) for x in model.tensors[model.manifest["prior"]["tables"]].values], passes.n + 1
    passes.tables = [numbers[i : i + width] for i in range(0, len(numbers), width)]
    # M10-4
    for table in passes.tables:
        if min(table) < 0 or sum(table) != 2**passes.bits or (0 in table[:-1]) != (table[-1] > 0):
            raise model.error("M10-4", f"a table of sum {sum(table)} with escape {table[-1]}")
    known = 5 * len(passes.groups)
    start = min(passes.lo, 0), max(passes.lo + passes.n - 1, 0)
    intervals = check_sums(passes.layers, [start] * known, by_phase=True)
    # M10-11
    for _, pick in passes.outputs:
        if intervals[pick][1] >= len(passes.tables):
            raise model.error("M10-11", f"value {pick} picks up to {intervals[pick][1]}")
    return passes
