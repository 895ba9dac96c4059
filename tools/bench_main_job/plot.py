"""The picture of pack and unpack by the number of rows: seconds, and peak memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile

_COLOURS: Final = {"pack": "#cb181d", "unpack": "#2171b5"}
_MB: Final = 150  # what the rows may add


def draw(memory: list[tuple[int, str, dict[str, Any]]], model: str, path: Path) -> None:
    """memory: (rows, job, what `Run` says) each.  Both axes of seconds are logarithmic; a line of slope one is beside them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    seconds, peaks = figure.subplots(1, 2)
    for job, colour in _COLOURS.items():
        runs = [(n_rows, run) for n_rows, of, run in memory if of == job]
        rows = [n_rows for n_rows, _ in runs]
        seconds.loglog(rows, [run["seconds"] for _, run in runs], "o-", color=colour, label=job)
        seconds.loglog(rows, [runs[-1][1]["seconds"] * n / rows[-1] for n in rows], ":", color=colour, alpha=0.5)
        peaks.semilogx(rows, [run["peak_mb"] for _, run in runs], "o-", color=colour, label=job)
    least = min(run["peak_mb"] for _, _, run in memory)
    peaks.axhline(least + _MB, color="#999999", linestyle=":")
    peaks.text(memory[0][0], least + _MB, f" {_MB} MB more than the least", va="bottom", fontsize=8, color="#666666")
    seconds.set(xlabel="rows", ylabel="seconds, start included")
    peaks.set(xlabel="rows", ylabel="peak memory of the process, MB", ylim=(0, (least + _MB) * 1.1))
    for axes in (seconds, peaks):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{model}, NumPy", fontsize=11)
    with AtomicFile(path, force=True) as file:
        figure.savefig(file, dpi=90, metadata={"Software": None})
