"""How images are to be packed, in plain values that can be kept in a file and sent to another process.

Owns what these come to with a model: which images it takes, and the options of packing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeformat.backends.numpy_passes import prior_of
from aeformat.errors import UsageError
from aeformat.images.colours import named_colour
from aeformat.images.fit import ImageFit
from aeformat.model.file_io import package_bytes
from aeformat.pipeline import BATCH_ROWS
from aeformat.pipeline.pack import Packed, PackOptions, pack, usual_codec
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.refinement import Price, Refiner, refiner

if TYPE_CHECKING:
    from aeformat.container.chunk_writer import Sink
    from aeformat.images import ImageSource
    from aeformat.pipeline.models import Model


@dataclass(frozen=True)
class Wishes:
    """The keywords of aeformat.pack that say how; batch_rows and backend have no effect on the file of an exact encoder.

    Raises UsageError.
    """

    encoding: str | None = None
    codec: str | None = None
    level: int | None = None
    embed_decoder: bool = False
    receipts: bool = False
    refine: Price | None = None
    refine_rounds: int | None = None
    record_encoder: bool = False
    sources: bool = False
    resize: bool = False
    grayscale: bool = False
    rgb: bool = False
    background: str | None = None
    batch_rows: int = BATCH_ROWS
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.refine is None and self.refine_rounds is not None:
            raise UsageError("refine_rounds says how to refine; give refine too")

    def fit(self, of: Model) -> ImageFit:
        """Which images go into the model's encoder.  Raises UsageError."""
        height, width, channels = of.the_encoder.input.shape
        colour = None if self.background is None else named_colour(self.background)
        return ImageFit(
            (height, width, channels),
            resize=self.resize,
            grayscale=self.grayscale,
            rgb=self.rgb,
            background=colour,
        )

    def options(self, of: Model, n_rows: int | None) -> PackOptions:
        """The options of packing n_rows images with the model.  Raises UsageError, GoldenMismatch, BackendUnavailable."""
        decoder = of.the_decoder
        return PackOptions(
            encoding=self.encoding,
            codec=self.codec or usual_codec(self.encoding, decoder),
            level=self.level,
            prior=prior_of(decoder),
            embed=package_bytes(decoder) if self.embed_decoder else None,
            record_encoder=self.record_encoder,
            sources=self.sources,
            batch_rows=self.batch_rows,
            refine=self._refinement(of, n_rows),
            receipts_by=of.network(decoder, self.backend, n_rows) if self.receipts else None,
        )

    def _refinement(self, of: Model, n_rows: int | None) -> Refiner | None:
        if self.refine is None:
            return None
        decoder = of.the_decoder
        n_tried = None if n_rows is None else n_rows * decoder.input.value.n_elements
        return refiner(
            decoder, self.refine, self.refine_rounds, lambda package: of.network(package, self.backend, n_tried)
        )

    def pack(self, source: ImageSource, of: Model, sink: Sink, progress: Progress = SILENT) -> Packed:
        """Encode all images of a source, and write the file.  Raises as `pack` does."""
        n_rows = source.n_rows
        options = self.options(of, n_rows)
        return pack(source, of.network(of.the_encoder, self.backend, n_rows), sink, options, progress)
