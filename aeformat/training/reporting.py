"""What a person sees while a model trains: a bar on an interactive stream, else a line every few epochs.

Owns the wording.  Knows nothing of how training works.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, TextIO

from aeformat.pipeline.evaluate import Fidelity


class Planned(Protocol):
    """A recipe, of whatever kind."""

    @property
    def name(self) -> str: ...

    @property
    def epochs(self) -> int: ...


class Progress:
    """Reports to `stream`, or to nobody if it is None."""

    def __init__(self, stream: TextIO | None, recipe: Planned, epoch: int) -> None:
        self._stream = stream
        self._recipe = recipe
        self._bar: Any = None
        if stream is not None and stream.isatty():
            try:
                from tqdm import tqdm
            except ImportError:  # an extra; lines will do
                return
            self._bar = tqdm(desc=recipe.name, initial=epoch, total=recipe.epochs, unit="epoch", file=stream)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def finished(self, epoch: int) -> None:
        """One more epoch is done."""
        if self._bar is not None:
            self._bar.update(epoch - self._bar.n)

    def measured(self, epoch: int, seconds: float, test: Fidelity, bits: float | None = None) -> None:
        """One more epoch is done, and the test images have been decoded; `bits`: what one of them takes."""
        rate = "" if bits is None else f"{bits:.1f} bits  "
        errors = f"{rate}MSE {test.mse:.5f}  RMSE {test.rmse:.4f}  PSNR {test.psnr:.2f} dB"
        if self._bar is not None:
            self._bar.set_postfix_str(errors)
            self.finished(epoch)
        elif self._stream is not None:
            name, last = self._recipe.name, self._recipe.epochs
            self._stream.write(f"{name}: epoch {epoch}/{last}  {seconds:.0f} s  test {errors}\n")
            self._stream.flush()
