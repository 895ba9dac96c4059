"""What send, fetch, ls and rm say on stderr while they run: progress, waits, requests; for people, or as JSON.

Owns --progress, --quiet and --verbose.  The lines of JSON are documented in docs/send.md.  Tokens are in none of them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from aeformat.cli.remote import ByteProgress, print_notice

if TYPE_CHECKING:
    from aeformat.net.client.events import Event, Waiting

_SAID_SECONDS: Final = 1.0  # waits from this length on are said (T8-4)
_EACH_SECONDS: Final = 1.0  # between two lines of progress


class Report:
    """Says what happens, in the form that the options choose; in a `with` block."""

    def __init__(self, *, form: str, is_quiet: bool, is_verbose: bool) -> None:
        """form: "bar" or "json".  is_quiet: errors only.  is_verbose: requests and answers too."""
        self._is_json, self._is_quiet, self._is_verbose = form == "json", is_quiet, is_verbose
        self._bytes = ByteProgress(is_wanted=not is_quiet and not self._is_json)
        self._lock, self._shown, self._last = threading.Lock(), 0.0, ("", -1)

    def __enter__(self) -> Report:
        self._bytes.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.__exit__()

    def progress(self, what: str, n_bytes: int, size: int) -> None:
        """Report that n_bytes of `size` bytes are transferred."""
        if not self._is_json:
            self._bytes.update(what, n_bytes, size)
            return
        with self._lock:
            is_over = n_bytes == size and self._last != (what, n_bytes)
            if self._is_quiet or not (is_over or time.monotonic() - self._shown >= _EACH_SECONDS):
                return
            self._shown, self._last = time.monotonic(), (what, n_bytes)
            self._line("progress", what=what, bytes=n_bytes, size=size)

    def notice(self, text: str) -> None:
        """Report a line for people."""
        if self._is_json:
            self._say("notice", text=text)
        elif not self._is_quiet:
            print_notice(text)

    def tell(self, event: Event) -> None:
        """Report what Options.tell is called with."""
        from aeformat.net.client import events

        if isinstance(event, events.Waiting):
            self._wait(event)
        elif not self._is_verbose:
            return
        elif isinstance(event, events.Asked):
            self._request(f"> {event.method} {event.target}", event.body_bytes)
        elif isinstance(event, events.Answered):
            if self._is_json:
                self._say("answer", status=event.status, seconds=round(event.seconds, 6))
            else:
                print_notice(f"< {event.status} after {event.seconds:.3f} s")
        elif self._is_json:
            self._say("no-answer", reason=event.reason)
        else:
            print_notice(f"< no answer: {event.reason}")

    def _wait(self, event: Waiting) -> None:
        if event.seconds < _SAID_SECONDS and not self._is_verbose:
            return
        if self._is_json:
            self._say("waiting", seconds=round(event.seconds, 3), reason=event.reason)
        elif not self._is_quiet:
            print_notice(f"waiting {event.seconds:.0f} s: {event.reason}")

    def _request(self, line: str, body_bytes: int) -> None:
        if self._is_json:
            method, target = line[2:].split(" ", 1)
            self._say("request", method=method, target=target, body_bytes=body_bytes)
        else:
            print_notice(f"{line} {body_bytes:,} B" if body_bytes else line)

    def result(self, event: str, **members: object) -> None:
        """Report the end of one file, where that is asked for as JSON: "sent", "fetched" or "failed"."""
        if self._is_json:
            self._say(event, is_result=True, **members)

    def error(self, text: str) -> None:
        """Report an error of one file of many, to people."""
        if not self._is_json:
            print_notice(text)

    def _say(self, event: str, *, is_result: bool = False, **members: object) -> None:
        if not self._is_quiet or is_result:
            with self._lock:
                self._line(event, **members)

    def _line(self, event: str, **members: object) -> None:
        print(json.dumps({"event": event, **members}), file=sys.stderr, flush=True)
