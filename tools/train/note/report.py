"""The note's Table 2 beside ours, as text and as Markdown, and the curves as a picture.

Owns wording and layout.  Knows nothing of training.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from aeformat.pipeline.evaluate import Fidelity
from tools.train.note.published import FIGURES, ITERATIONS, NoteRecipe
from tools.train.note.training import NoteRun

DASH: Final = "-"
_DIGITS: Final = 6  # significant, in the data file


def as_data(runs: list[NoteRun], made_with: dict[str, str]) -> dict[str, Any]:
    """What the data file holds; `rows` and `draw_curves` need nothing else."""
    recipe = {key: value for key, value in asdict(runs[0].recipe).items() if key != "latent_dims"}
    return {
        "recipe": recipe,
        "made_with": made_with,
        "errors": "mean squared errors over all pixels, in 0..1, of float outputs; nothing rounded to 8 bits",
        "networks": [
            {
                "latent_dims": run.recipe.latent_dims,
                "seconds": round(run.seconds),
                "train_after": {str(epoch): _rounded(mse) for epoch, mse in run.train.items()},
                "test": _rounded(run.test[-1]),
                "running_train_by_epoch": [_rounded(mse) for mse in run.running],
                "test_by_epoch": [_rounded(mse) for mse in run.test],
            }
            for run in runs
        ],
    }


def _rounded(mse: float) -> float:
    return float(f"{mse:.{_DIGITS}g}")


def rows(data: dict[str, Any]) -> list[list[str]]:
    """Table 2: a heading, then for each network what was measured and what the note says, as MSE, RMSE and PSNR."""
    table = [["network", "", *(f"train, {n}" for n in ITERATIONS), "test"]]
    for network in data["networks"]:
        dims = network["latent_dims"]
        figures = FIGURES[dims]
        ours = [network["train_after"].get(str(n)) for n in ITERATIONS] + [network["test"]]
        notes = [figures.train.get(n) for n in ITERATIONS] + [figures.test]
        name = "-".join(str(width) for width in NoteRecipe(dims).widths)
        table += [
            [name, "the note, “RMSE”", *(DASH if mse is None else f"{mse:.3f}" for mse in notes)],
            ["", "MSE", *(DASH if mse is None else f"{mse:.4f}" for mse in ours)],
            ["", "RMSE", *(DASH if mse is None else f"{Fidelity(1, mse).rmse:.3f}" for mse in ours)],
            ["", "PSNR, dB", *(DASH if mse is None else f"{Fidelity(1, mse).psnr:.2f}" for mse in ours)],
        ]
    return table


def draw_curves(data: dict[str, Any], path: Path) -> None:
    """Error by epoch, one panel a network, the note's figures as marks.  Raises UsageError where it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for panel, network in zip(panels, data["networks"], strict=False):
        dims, epochs = network["latent_dims"], range(1, len(network["test_by_epoch"]) + 1)
        figures = FIGURES[dims]
        panel.plot(epochs, network["running_train_by_epoch"], color="#9ecae1", lw=2.5, label="training, measured")
        panel.plot(epochs, network["test_by_epoch"], color="#08519c", lw=1, label="test, measured")
        if figures.train:
            panel.plot(*zip(*figures.train.items(), strict=True), "o", color="#d94801", label="training, the note")
        panel.plot([epochs[-1]], [figures.test], "D", color="#d94801", mfc="white", clip_on=False, zorder=5,
                   label="test, the note")  # fmt: skip
        panel.annotate(f"{network['test']:.4f}", (epochs[-1], network["test"]), (0, 9), textcoords="offset points",
                       ha="right", color="#08519c",
                       bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8})  # fmt: skip
        panel.annotate(f"{figures.test:.3f}", (epochs[-1], figures.test), (-7, -4), textcoords="offset points",
                       ha="right", color="#d94801")  # fmt: skip
        panel.set(title=f"784-128-{dims}-128-784", yscale="log")
        panel.grid(which="both", color="#e6e6e6")
        panel.legend(frameon=False, fontsize=8)
    for panel in panels[2:]:
        panel.set_xlabel("epoch (the note's iteration)")
    for panel in panels[::2]:
        panel.set_ylabel("mean squared error")
        panel.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["0.01", "0.02", "0.05", "0.1", "0.2"])
        panel.set_yticks([], minor=True)
    figure.suptitle("The 2018 note's networks, trained by its recipe: N(0,1) start, RMSprop(0.01), batch 256")
    with AtomicFile(path, force=True) as file:
        figure.savefig(file, dpi=110, metadata={"Software": None})
