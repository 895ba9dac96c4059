"""The TLS certificate of a server, which is read again when it is renewed (spec/transport.md, section 12).

A new pair is read into a context of its own, and taken only if certificate and key go together.  Connections that are open keep
theirs.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from aeformat.errors import UsageError
from aeformat.net.server.json_log import fields

log = logging.getLogger("aeformat.server")
_Stamp = tuple[tuple[int, int, int], ...]
_NONE: Final[_Stamp] = ()


class Certificate:
    """A certificate chain and its key, in two files.  context: for the listener; each handshake takes the newest pair.

    is_unreadable: whether the files on disk are no good pair, so that an older one is in use.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        """Read the files.  Raises UsageError if they are no good pair."""
        self._files = chain, key
        self.is_unreadable = False
        self._taken = self._seen = self._stamp()
        try:
            self._newest = self._read()
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(f"cannot use the certificate {chain} with the key {key}: {_reason(error)}") from error
        self.context = self._newest
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Read the files again if they have changed, and did not change since the last look: both are there by then."""
        seen = self._stamp()
        if seen != self._taken and seen == self._seen:
            self.reload()
        self._seen = seen

    def reload(self) -> None:
        """Read the files again.  If they are no good pair the old one stays, and the log says so."""
        self._taken = self._stamp()
        try:
            self._newest = self._read()
            self.is_unreadable = False
            log.info("the certificate was read again", extra=fields(file=str(self._files[0])))
        except OSError as error:
            self.is_unreadable = True
            log.error(
                "the new certificate cannot be used; the old one stays",
                extra=fields(file=str(self._files[0]), reason=_reason(error)),
            )

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            *self._files, password=b""
        )  # a key with a passphrase is refused: nobody is there to type it
        return context

    def _stamp(self) -> _Stamp:
        try:
            stats = [path.stat() for path in self._files]
        except OSError:
            return _NONE
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error)
