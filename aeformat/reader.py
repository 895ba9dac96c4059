"""The reader that other programs embed: random access and reading forward.

Importing it loads neither NumPy nor TensorFlow, only the standard library, msgpack and zstandard; NumPy comes with the
first array.

    from aeformat.reader import open_latents, stream_latents

    with open_latents("digits.aef") as latents:     # random access: header, trailer, then only what is asked for
        latents.header.dims, latents.n_rows, latents[7], latents[100:200], latents[[1, 5]]

    with open("digits.aef", "rb") as file:           # forward: pipes, sockets; every byte is checked
        for block in stream_latents(file):
            block.first_row, block.values, block.names, block.receipts

Source: spec/container.md.  Errors are those of aeformat.errors: FormatError with rule, at and code.
"""

from __future__ import annotations

from aeformat.container.reader import Latents, open_latents
from aeformat.container.stream import LatentStream, events, latents_header, stream_latents

__all__ = ["LatentStream", "Latents", "events", "latents_header", "open_latents", "stream_latents"]
