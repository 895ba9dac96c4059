"""Sending and fetching containers over HTTP, and the server for it (spec/transport.md).

The state machines of aeformat.transport decide; this package carries out what they decide, with sockets, files, clocks and
threads.  Needs the extra [net], but for `view`.

    from aeformat import net

    sent = net.send("digits.aef", "https://host/")                    # resumes where an earlier run stopped
    net.fetch("https://host/v1/containers/<sha256>", "digits.aef")    # digest verified before the rename
    decoder = net.registry_decoder("https://host/", model_id)         # fetched once, checked, cached

`send_many` sends many files over a few connections; `containers`, `uploads` and `remove` are what `aeformat ls` and `rm` do.
`asend` and `afetch` are `send` and `fetch` for asyncio.  Each name is imported on first use, because the imports take longer
than sending or fetching a small file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aeformat.net.client.aio import afetch, asend
    from aeformat.net.client.batch import send_many
    from aeformat.net.client.fetching import fetch
    from aeformat.net.client.options import Fetched, Options, Sent
    from aeformat.net.client.remote_decoder import registry_decoder
    from aeformat.net.client.sending import send
    from aeformat.net.client.stored import containers, remove, uploads

__all__ = [
    "Fetched",
    "Options",
    "Sent",
    "afetch",
    "asend",
    "containers",
    "fetch",
    "registry_decoder",
    "remove",
    "send",
    "send_many",
    "uploads",
]

_HOMES: Final = {
    "Fetched": "client.options",
    "Options": "client.options",
    "Sent": "client.options",
    "afetch": "client.aio",
    "asend": "client.aio",
    "containers": "client.stored",
    "fetch": "client.fetching",
    "registry_decoder": "client.remote_decoder",
    "remove": "client.stored",
    "send": "client.sending",
    "send_many": "client.batch",
    "uploads": "client.stored",
}


def __dir__() -> list[str]:
    return [*__all__, *globals()]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
