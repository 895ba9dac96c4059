"""The states of an upload on the server, and what can happen in each (spec/transport.md, section 3).

Owns table T3-1, and the problem that answers a request which the table does not allow.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """The state of an upload."""

    CREATED = "created"
    RECEIVING = "receiving"
    IDLE = "idle"
    VERIFYING = "verifying"
    COMMITTED = "committed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Event(Enum):
    """What can happen to an upload."""

    APPEND = "append"  # a new request may write; the one before it may not any more
    PAUSE = "pause"  # the request ended, was cut off, was replaced by a HEAD, or brought a damaged chunk
    LAST = "last"  # the last request ended, and the container is complete
    STORED = "stored"  # the container is in its final place
    REFUSE = "refuse"  # no request can make this container good
    EXPIRE = "expire"
    CANCEL = "cancel"


# T3-1.  What is absent is illegal.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.CREATED: {
        Event.APPEND: State.RECEIVING,
        Event.PAUSE: State.IDLE,
        Event.REFUSE: State.FAILED,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELLED,
    },
    State.RECEIVING: {
        Event.APPEND: State.RECEIVING,
        Event.PAUSE: State.IDLE,
        Event.LAST: State.VERIFYING,
        Event.REFUSE: State.FAILED,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELLED,
    },
    State.IDLE: {
        Event.APPEND: State.RECEIVING,
        Event.PAUSE: State.IDLE,
        Event.REFUSE: State.FAILED,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELLED,
    },
    State.VERIFYING: {Event.STORED: State.COMMITTED, Event.PAUSE: State.IDLE, Event.REFUSE: State.FAILED},
    State.COMMITTED: {Event.EXPIRE: State.EXPIRED},
    State.FAILED: {Event.EXPIRE: State.EXPIRED, Event.CANCEL: State.CANCELLED},
    State.EXPIRED: {},
    State.CANCELLED: {},
}

# T6-1: the problem that answers a request that the table does not allow.
REFUSED: Final = {
    State.VERIFYING: ("upload-verifying", "the container is being put in place"),
    State.COMMITTED: ("completed-upload", "the upload is complete"),
    State.EXPIRED: ("upload-gone", "the upload expired"),
    State.CANCELLED: ("upload-gone", "the upload was cancelled"),
}
