"""Sending and fetching containers over HTTP, and the server for it (spec/transport.md).

Thin shells around aeformat.transport: sockets, files and clocks live here.  Needs the extra [net].

    from aeformat import net

    sent = net.send("digits.aef", "https://host/")                    # resumes where an earlier run stopped
    net.fetch("https://host/v1/containers/<sha256>", "digits.aef")    # digest verified before the rename
    decoder = net.registry_decoder("https://host/", model_id)         # fetched once, proved, cached

`asend` and `afetch` are the same for asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aeformat.net.api import Fetched, Sent, afetch, asend, fetch, send

if TYPE_CHECKING:
    from aeformat.net.registry import registry_decoder

__all__ = ["Fetched", "Sent", "afetch", "asend", "fetch", "registry_decoder", "send"]


def __getattr__(name: str) -> Any:
    """registry_decoder, on first use: it brings NumPy and the networks, which fetching latents does not take."""
    if name == "registry_decoder":
        from aeformat.net.registry import registry_decoder

        return registry_decoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
