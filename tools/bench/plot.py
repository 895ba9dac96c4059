"""The picture of one data set: bytes, speeds and times of all contenders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from tools.bench.figures import COLUMNS, bytes_a_row, median

_OURS, _THEIRS = "#cb181d", "#6baed6"
_PANELS: Final = ("write", "read", "row", "batch")


def draw(data: dict[str, Any], path: Path) -> None:
    """A panel a column, a bar a contender, ours in red; medians of the rounds.  Times are on a logarithmic axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(data["contenders"])
    figure = Figure(figsize=(15, 1.2 + 0.29 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 1 + len(_PANELS), sharey=True)
    figure.suptitle(f"{data['rows']:,} rows: {data['label']}", fontsize=11)
    _bars(panels[0], names, [bytes_a_row(data, name) for name in names], "bytes a row (less is better)")
    for axes, column in zip(panels[1:], _PANELS, strict=True):
        kind = COLUMNS[column]
        label = f"{kind.label} ({'more' if kind.is_rate else 'less'} is better)"
        _bars(axes, names, [median(data, name, column) for name in names], label, is_log=not kind.is_rate)
    panels[0].invert_yaxis()  # for all: they share it
    with AtomicFile(path, force=True) as file:
        figure.savefig(file, dpi=90, metadata={"Software": None})


def _bars(axes: Any, names: list[str], figures: list[float | None], label: str, *, is_log: bool = False) -> None:
    colours = [_OURS if name.startswith("aef") else _THEIRS for name in names]
    shown = [figure or 0 for figure in figures]
    axes.barh(names, shown, color=colours)
    most = max(shown, default=1) or 1
    if is_log and any(shown):
        least = min(figure for figure in shown if figure)
        axes.set(xscale="log", xlim=(least / 3, most * 25))
    else:
        axes.set_xlim(0, most * 1.25)
    for name, figure in zip(names, figures, strict=True):
        text = "cannot" if figure is None else f" {figure:,.1f}" if figure < 100 else f" {figure:,.0f}"
        axes.text(
            figure or axes.get_xlim()[0], name, text, va="center", fontsize=8, color="#333333" if figure else "#999999"
        )
    axes.set_title(label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
