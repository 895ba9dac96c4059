"""Counters of a running server, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

_HELP: Final = {
    "aeformat_requests_total": "Requests answered, by method, route and status.",
    "aeformat_received_bytes_total": "Bytes of upload bodies received.",
    "aeformat_sent_bytes_total": "Bytes of blobs sent.",
    "aeformat_problems_total": "Problem documents sent, by type.",
    "aeformat_stored_total": "Blobs put in their place.",
    "aeformat_deleted_total": "Blobs taken from their tenants.",
    "aeformat_rows_drawn_total": "Rows decoded for clients that cannot.",
}


class Metrics:
    """The counters and gauges of one server.  gauges: for each name a function that returns the value now."""

    def __init__(self, gauges: dict[str, Callable[[], float]]) -> None:
        self._gauges = gauges
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        """Add n to a counter.  labels: their values come from small fixed sets, never from a client."""
        self._counts[name, tuple(sorted(labels.items()))] += n

    def text(self) -> str:
        """All values in the text format of Prometheus: the answer to GET metrics."""
        lines = []
        for name, what in _HELP.items():
            lines += [f"# HELP {name} {what}", f"# TYPE {name} counter"]
            for (counted, labels), value in sorted(self._counts.items()):
                if counted == name:
                    inside = ",".join(f'{key}="{text}"' for key, text in labels)
                    lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")
        for name, read in self._gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {read():g}"]
        return "\n".join(lines) + "\n"
