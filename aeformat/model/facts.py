"""Facts about the layers of a network, for people: sizes, costs, bounds, and which layer reads which value.

Owns the numbers and their text.  Tables and pictures are made elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from aeformat.model.manifest import Manifest, tensors_of
from aeformat.model.package import ModelPackage, Step
from aeformat.model.values import Value


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer.  inputs: numbers of the values that it reads; its output is value number + 1.

    made: its type and shape as text; with free sizes, for a latent of h x w.  n_multiply_adds: then for one pixel of it.
    note: its parameters as text.  weights: type and shape, or "".  n_bytes: of its tensors, each counted where it is first
    used; n_params: weights and biases among them.  bound: of sums in the exact profile (section 4 of spec/model.md).
    """

    number: int
    kind: str
    inputs: tuple[int, ...]
    made: str
    note: str
    weights: str
    n_params: int
    n_bytes: int
    n_multiply_adds: int
    bound: int | None


def facts_of(package: ModelPackage) -> list[LayerFacts]:
    """All layers, in order."""
    manifest, seen = package.manifest, set()
    found = []
    for number, (layer, step) in enumerate(zip(manifest.layers, package.plan, strict=True)):
        new = {key: n for key, n in tensors_of(layer).items() if n not in seen}
        seen |= set(new.values())
        weights = step.arrays.get("weights")
        found.append(
            LayerFacts(
                number, step.kind, step.inputs, value_text(manifest, step.made), _note(step),
                "" if weights is None else f"{weights.dtype} {list(weights.shape)}",
                sum(package.tensors[n].size for key, n in new.items() if key in ("weights", "bias")),
                sum(manifest.tensors[n].n_bytes for n in new.values()),
                manifest.multiply_adds_of(number),
                None if step.bounds is None else step.bound,
            )
        )  # fmt: skip
    return found


def value_text(manifest: Manifest, value: Value) -> str:
    """Type and shape of one of its values; with free sizes for a latent of h x w, such as u8 [16h, 16w, 3]."""
    if manifest.scale is None:
        return str(value)
    rows, columns, channels = value.shape
    sides = (f"{n}{name}" if n > 1 else name for n, name in ((rows, "h"), (columns, "w")))
    return f"{value.type} [{', '.join(sides)}, {channels}]"


def cost_text(manifest: Manifest, count: str) -> str:
    """How many multiply-adds there are for what."""
    if manifest.scale is None:
        return f"{count} multiply-adds an image"
    rows, columns = manifest.scale
    return f"{count} multiply-adds for {rows} x {columns} pixels of an image"


def _note(step: Step) -> str:
    """The parameters as text, without those that have their usual value."""
    words = []
    if step.kind in ("conv2d", "conv2d_transpose"):
        kh, kw = step.arrays["weights"].shape[:2]
        words.append(f"{kh} x {kw}")
    if "size" in step.params:
        words.append("{} x {}".format(*step.integers("size")))
    if "strides" in step.params and set(step.integers("strides")) != {1}:
        words.append("stride {} x {}".format(*step.integers("strides")))
    for key in ("padding", "crop"):
        if key in step.params and any(step.integers(key)):
            words.append(f"{key} {list(step.integers(key))}" if key != step.kind else f"{list(step.integers(key))}")
    if "factors" in step.params:
        words.append("{} x {}".format(*step.integers("factors")))
    if "num" in step.params:
        words.append(f"{step.integer('num')} / {step.integer('den')}")
    words += [f"{key} {step.integer(key)}" for key in ("axis", "value", "start", "stop", "shift") if key in step.params]
    if "table" in step.arrays:
        words.append(f"table of {len(step.arrays['table']):,}")
    return ", ".join(words)
