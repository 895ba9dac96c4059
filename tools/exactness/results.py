"""What was found: models/exactness.json, and the table that models/README.md shows of it.

Owns the file's form, the bounds in it, and when two results agree.  Runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from aeformat.model.bounds import FLOAT32_EXACT
from aeformat.model.package import ModelPackage
from tools.exactness.work import Pair

FILE: Final = Path(__file__).resolve().parents[2] / "models" / "exactness.json"
_ABOUT: Final = (
    "Digests (SHA-256, one byte a number, C order) of the latents and pixels of the first images of MNIST's test set, or of drawn "
    "ones for a model of any size (there also of what the prior's passes give), equal in every run listed, and the bounds of every sum (spec/model.md, section 4). Written by python -m tools.exactness."
)
_SHOWN: Final = 16  # digits of a digest in the table


def bounds(package: ModelPackage) -> list[dict[str, object]]:
    """What no sum of a layer can exceed, whatever goes in, and the floats in which that is exact."""
    return [
        {"layer": k, "kind": step.kind, "bound": step.bound, "floats": "f32" if step.bound < FLOAT32_EXACT else "f64"}
        for k, step in enumerate(package.plan)
        if step.bounds is not None
    ]


def entry(pair: Pair, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the file says of one model.  runs: as `merged` gives them, all in agreement."""
    encoder, decoder = pair
    return {
        "encoder": encoder.model_id.hex(),
        "decoder": decoder.model_id.hex(),
        "digests": runs[0]["digests"],
        "bounds": {"encoder": bounds(encoder), "decoder": bounds(decoder)},
        "runs": [{key: value for key, value in run.items() if key != "digests"} for run in runs],
    }


def disagreements(name: str, runs: Iterable[dict[str, Any]]) -> list[str]:
    """One line for each run whose digests are not those of the first."""
    first, *others = runs
    return [
        f"{name}: {what} of {n} images differ: {describe(run)} and {describe(first)}"
        for run in others
        for n, digests in run["digests"].items()
        for what in digests
        if digests[what] != first["digests"][n][what]
    ]


def describe(run: dict[str, Any]) -> str:
    """A run in words."""
    settings = ", ".join(f"{key}={value}" for key, value in run["settings"].items())
    batch = f", batch {run['batch']}" if "batch" in run else f", batches {run['batches']}"
    return f"{run['software']} on {run['machine']}" + (f", {settings}" if settings else "") + batch


def merged(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs that differ in their batch size only, as one with `batches`."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        one = {key: value for key, value in run.items() if key not in ("batch", "batches", "seconds", "model")}
        batches = found.setdefault(json.dumps(one, sort_keys=True), one | {"batches": []})["batches"]
        batches += [batch for batch in run.get("batches") or [run["batch"]] if batch not in batches]
    return list(found.values())


def runs_of(known: dict[str, Any] | None, pair: Pair) -> list[dict[str, Any]]:
    """The runs that the file has of a pair, as `merged` gives them; none if it has another pair under that name."""
    if known is None or [known["encoder"], known["decoder"]] != [half.model_id.hex() for half in pair]:
        return []
    return [{**run, "digests": known["digests"]} for run in known["runs"]]


def of_most(digests: Iterable[str]) -> str:
    """The key of the most images."""
    return max(digests, key=int)


def load() -> dict[str, Any]:
    """The models of the file; none where there is no file."""
    models: dict[str, Any] = json.loads(FILE.read_text("utf-8"))["models"] if FILE.exists() else {}
    return models


def save(models: dict[str, Any]) -> None:
    """Write the file."""
    text = json.dumps({"about": _ABOUT, "models": dict(sorted(models.items()))}, indent=1)
    FILE.write_text(text + "\n", "utf-8")


def table(models: dict[str, Any]) -> list[str]:
    """The lines of the table in models/README.md."""
    lines = ["| model | latents | pixels | largest sum | of 2^24 | runs | machines |", "|---|---|---|---|---|---|---|"]
    for name, found in sorted(models.items()):
        of_all = found["digests"][of_most(found["digests"])]
        largest = max(layer["bound"] for half in found["bounds"].values() for layer in half)
        n_runs = sum(len(run["batches"]) for run in found["runs"])
        machines = ", ".join(sorted({run["machine"] for run in found["runs"]}))
        cells = (
            f"`{name}`", f"`{of_all['latents'][:_SHOWN]}`", f"`{of_all['pixels'][:_SHOWN]}`", f"{largest:,}",
            f"{largest / FLOAT32_EXACT:.0%}", str(n_runs), machines,
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines
