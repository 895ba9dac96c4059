"""Counters, histograms and gauges of a running server, in the text format of Prometheus.

What is counted while a request is answered is kept by the request's tenant, so that one tenant can be shown its own (T10-7).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from aeformat.net.server import request_context

_COUNTERS: Final = {
    "aeformat_requests_total": "Requests answered, by method, route and status.",
    "aeformat_received_bytes_total": "Bytes of upload bodies received.",
    "aeformat_sent_bytes_total": "Bytes of blobs sent.",
    "aeformat_problems_total": "Problem documents sent, by type.",
    "aeformat_stored_total": "Blobs put in their place.",
    "aeformat_deleted_total": "Blobs taken from their tenants.",
    "aeformat_rows_drawn_total": "Rows decoded for clients that cannot.",
}
_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_BYTES: Final = tuple(float(10**power) for power in range(2, 11))
_HISTOGRAMS: Final = {
    "aeformat_request_duration_seconds": ("Time from a request's header to the end of its answer.", _SECONDS),
    "aeformat_request_body_bytes": ("Bytes of a request's body that were received.", _BYTES),
    "aeformat_response_body_bytes": ("Bytes of an answer's body that were sent.", _BYTES),
}

Labels = tuple[tuple[str, str], ...]
_Key = tuple[str | None, str, Labels]  # tenant, name, labels


class Metrics:
    """The counters, histograms and gauges of one server.

    gauges: for each name a function that returns the value now.  They are the server's, no tenant's.
    """

    def __init__(self, gauges: dict[str, Callable[[], float]]) -> None:
        self.gauges = gauges
        self._counts: Counter[_Key] = Counter()
        self._samples: dict[_Key, list[float]] = {}  # how many in each bucket and above all of them; their sum

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        """Add n to a counter.  labels: their values come from small fixed sets, never from a client."""
        self._counts[_tenant(), name, tuple(sorted(labels.items()))] += n

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram.  labels: as for `count`."""
        _, bounds = _HISTOGRAMS[name]
        key = _tenant(), name, tuple(sorted(labels.items()))
        samples = self._samples.setdefault(key, [0.0] * (len(bounds) + 2))
        samples[bisect_left(bounds, value)] += 1
        samples[-1] += value

    def text(self, tenant: str | None = None) -> str:
        """The values in the text format of Prometheus: of one tenant's requests, or all and the gauges (T10-7)."""
        counts: Counter[tuple[str, Labels]] = Counter()
        for (whose, name, labels), value in self._counts.items():
            if tenant in (None, whose):
                counts[name, labels] += value
        samples: dict[tuple[str, Labels], list[float]] = {}
        for (whose, name, labels), values in self._samples.items():
            if tenant in (None, whose):
                before = samples.get((name, labels), [0.0] * len(values))
                samples[name, labels] = [a + b for a, b in zip(before, values, strict=True)]
        lines = [*_counter_lines(counts), *_histogram_lines(samples)]
        for name, read in self.gauges.items() if tenant is None else ():
            lines += [f"# TYPE {name} gauge", f"{name} {_number(read())}"]
        return "\n".join(lines) + "\n"


def _tenant() -> str | None:
    request = request_context.current()
    return None if request is None else request.tenant


def _counter_lines(counts: Counter[tuple[str, Labels]]) -> Iterator[str]:
    for name, what in _COUNTERS.items():
        yield from (f"# HELP {name} {what}", f"# TYPE {name} counter")
        for (counted, labels), value in sorted(counts.items()):
            if counted == name:
                yield f"{name}{_inside(labels)} {_number(value)}"


def _histogram_lines(samples: dict[tuple[str, Labels], list[float]]) -> Iterator[str]:
    for name, (what, bounds) in _HISTOGRAMS.items():
        yield from (f"# HELP {name} {what}", f"# TYPE {name} histogram")
        for (observed, labels), values in sorted(samples.items()):
            if observed != name:
                continue
            n_so_far = 0.0
            for bound, n in zip((*map(_number, bounds), "+Inf"), values[:-1], strict=True):
                n_so_far += n
                yield f"{name}_bucket{_inside((*labels, ('le', bound)))} {_number(n_so_far)}"
            yield f"{name}_sum{_inside(labels)} {_number(values[-1])}"
            yield f"{name}_count{_inside(labels)} {_number(n_so_far)}"


def _inside(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{text}"' for key, text in labels) + "}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
