"""aeformat: a container for what an autoencoder has compressed.  See README.md; spec/ is the authority on the bytes.

    import aeformat

    with aeformat.open("digits.aef") as latents:               # random access
        images = aeformat.decode(latents, rows=range(0, 10))   # (10, 28, 28, 1) uint8
        latents[7], latents[2:5], latents[[1, 5]]              # the latents themselves, as from an array

    with aeformat.stream("digits.aef") as blocks:              # forward; every byte is checked
        for block in blocks:
            block.first_row, block.values, block.names

    model = aeformat.load_model("mnist-exact")
    with aeformat.create("new.aef", decoder=model) as file:    # appears whole or not at all
        file.append(model.encode(images))

    aeformat.pack("photos/", "photos.aef", model=model)        # image files to a file of latents
    aeformat.unpack("photos.aef", "restored/")
    aeformat.validate("photos.aef").problems

What is in __all__ is public, and so are aeformat.reader (for programs that embed the reader), aeformat.errors and aeformat.net;
everything else may change.  Each name brings what it takes on first use: `import aeformat` loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aeformat.container.described import Described
    from aeformat.container.payloads import Block
    from aeformat.container.ragged import RaggedRows
    from aeformat.container.sizes import RowSizes
    from aeformat.errors import (
        AeformatError,
        BackendUnavailable,
        DecoderError,
        DecoderMismatch,
        DecoderMissing,
        FormatError,
        GoldenMismatch,
        Hint,
        ImageError,
        Truncated,
        Unsupported,
        UsageError,
    )
    from aeformat.exchange.network_id import model_id
    from aeformat.loading.batches import Batches, batches
    from aeformat.loading.reading import Batch
    from aeformat.pipeline.arrays import decode, encode
    from aeformat.pipeline.create import create
    from aeformat.pipeline.files import pack
    from aeformat.pipeline.latents_file import LatentsFile
    from aeformat.pipeline.models import Model, find_model, load_model
    from aeformat.pipeline.opening import stream_file as stream
    from aeformat.pipeline.pack import Packed
    from aeformat.pipeline.sources import SOURCE_FIELDS, source_fields
    from aeformat.pipeline.unpack import Unpacked
    from aeformat.reader import Latents, LatentStream
    from aeformat.report import Problem, Report
    from aeformat.scaling.job import PackedSet, pack_set
    from aeformat.sets.checking import validate_any as validate
    from aeformat.sets.opening import open_latents_or_set as open
    from aeformat.sets.set_reader import LatentsSet
    from aeformat.sets.set_writer import SetWriter, create_set
    from aeformat.sets.unpacking import unpack_any as unpack
    from aeformat.staleness.check import Checked, check
    from aeformat.staleness.encoding import Encoded
    from aeformat.staleness.update import Updated, update

__version__ = "1.0.0"

__all__ = [
    "SOURCE_FIELDS",
    "AeformatError",
    "BackendUnavailable",
    "Batch",
    "Batches",
    "Block",
    "Checked",
    "DecoderError",
    "DecoderMismatch",
    "DecoderMissing",
    "Described",
    "Encoded",
    "FormatError",
    "GoldenMismatch",
    "Hint",
    "ImageError",
    "LatentStream",
    "Latents",
    "LatentsFile",
    "LatentsSet",
    "Model",
    "Packed",
    "PackedSet",
    "Problem",
    "RaggedRows",
    "Report",
    "RowSizes",
    "SetWriter",
    "Truncated",
    "Unpacked",
    "Unsupported",
    "Updated",
    "UsageError",
    "__version__",
    "batches",
    "check",
    "create",
    "create_set",
    "decode",
    "encode",
    "find_model",
    "load_model",
    "model_id",
    "open",
    "pack",
    "pack_set",
    "source_fields",
    "stream",
    "unpack",
    "update",
    "validate",
]

_HOMES: Final = {  # name -> module, and the name there where it is another
    "AeformatError": "errors",
    "BackendUnavailable": "errors",
    "Batch": "loading.reading",
    "Batches": "loading.batches",
    "Block": "container.payloads",
    "Checked": "staleness.check",
    "DecoderError": "errors",
    "DecoderMismatch": "errors",
    "DecoderMissing": "errors",
    "Described": "container.described",
    "Encoded": "staleness.encoding",
    "FormatError": "errors",
    "GoldenMismatch": "errors",
    "Hint": "errors",
    "ImageError": "errors",
    "LatentStream": "reader",
    "Latents": "reader",
    "LatentsFile": "pipeline.latents_file",
    "LatentsSet": "sets.set_reader",
    "Model": "pipeline.models",
    "Packed": "pipeline.pack",
    "PackedSet": "scaling.job",
    "Problem": "report",
    "RaggedRows": "container.ragged",
    "Report": "report",
    "RowSizes": "container.sizes",
    "SOURCE_FIELDS": "pipeline.sources",
    "SetWriter": "sets.set_writer",
    "Truncated": "errors",
    "Unpacked": "pipeline.unpack",
    "Unsupported": "errors",
    "Updated": "staleness.update",
    "UsageError": "errors",
    "batches": "loading.batches",
    "check": "staleness.check",
    "create": "pipeline.create",
    "create_set": "sets.set_writer",
    "decode": "pipeline.arrays",
    "encode": "pipeline.arrays",
    "find_model": "pipeline.models",
    "load_model": "pipeline.models",
    "model_id": "exchange.network_id",
    "open": "sets.opening:open_latents_or_set",
    "pack": "pipeline.files",
    "pack_set": "scaling.job",
    "source_fields": "pipeline.sources",
    "stream": "pipeline.opening:stream_file",
    "unpack": "sets.unpacking:unpack_any",
    "update": "staleness.update",
    "validate": "sets.checking:validate_any",
}


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> Any:
    """What is public, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = _HOMES[name].partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), own or name)
    globals()[name] = found
    return found
