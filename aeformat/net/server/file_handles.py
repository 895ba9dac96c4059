"""How many connections the system's limit on open files allows (spec/transport.md, T7-4).

Owns RLIMIT_NOFILE, which is raised as far as it needs to be and may be.  Systems without it have no limit that matters here.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

if sys.platform != "win32":
    import resource

from aeformat.errors import UsageError
from aeformat.net.server.connection_table import REFUSED

log = logging.getLogger("aeformat.server")
EACH: Final = 3  # of a connection: its socket, and a blob or a staging file, that twice for direct I/O
OWN: Final = 128  # of the process: listeners, the event loop, logs, small files in each worker thread
LEAST: Final = 4  # connections; with fewer there is no server to speak of


def connections_possible(wanted: int) -> int:
    """The number of connections that there are file handles for, `wanted` at most.  Raises UsageError if there are too few."""
    if sys.platform == "win32":
        return wanted
    allowed = _raised(OWN + REFUSED + EACH * wanted)
    possible = min(wanted, (allowed - OWN - REFUSED) // EACH)
    if possible < min(wanted, LEAST):
        least = OWN + REFUSED + EACH * LEAST
        raise UsageError(f"this system allows {allowed} open files (ulimit -n), and a server needs {least} or more")
    if possible < wanted:
        log.warning(
            "at most %d connections at a time, not %d: this system allows %d open files", possible, wanted, allowed
        )
    return possible


def _raised(needed: int) -> int:
    """The number of files that may be open, after it was raised if it was below `needed`."""
    if sys.platform == "win32":
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    better = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if better <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (better, hard))
    except (OSError, ValueError):  # the system has another limit, which it does not tell
        return soft
    return better
