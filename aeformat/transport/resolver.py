"""How a receiver gets a decoder that it may lack (spec/transport.md, section 9).

Owns the order of the steps: look for it here, decide whether fetching it pays, fetch it, check its digest and model id, run
its golden set, install it.  A decoder that has not reproduced its golden set is never handed out (T9-4).  Knows nothing of
where models lie or how they are fetched.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """The step that is to be done next."""

    LOOKUP = "lookup"  # look for the decoder among the models of this machine
    ASK = "ask"  # ask the server whether it has the package, and how large it is
    WEIGH = "weigh"  # decide whether fetching it pays
    FETCH = "fetch"
    CHECK = "check"  # check every rule of the package, and its model id
    PROVE = "prove"  # run its golden set on this machine
    INSTALL = "install"  # put it into the cache: temporary file, sync, rename
    READY = "ready"
    REFUSED = "refused"


class Event(Enum):
    """The result of a step."""

    HIT = "hit"
    MISS = "miss"
    DONE = "done"
    PAYS = "pays"
    COSTS = "costs"
    GOOD = "good"
    BAD = "bad"


# T9-1.  What is absent cannot happen.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.LOOKUP: {Event.HIT: State.READY, Event.MISS: State.ASK},
    State.ASK: {Event.HIT: State.WEIGH, Event.MISS: State.REFUSED},
    State.WEIGH: {Event.PAYS: State.FETCH, Event.COSTS: State.REFUSED},
    State.FETCH: {Event.DONE: State.CHECK, Event.BAD: State.REFUSED},
    State.CHECK: {Event.GOOD: State.PROVE, Event.BAD: State.REFUSED},
    State.PROVE: {Event.GOOD: State.INSTALL, Event.BAD: State.REFUSED},
    State.INSTALL: {Event.DONE: State.READY},  # if the cache cannot be written, the decoder is used all the same
    State.READY: {},
    State.REFUSED: {},
}


class ModelResolver:
    """The state of one search for one decoder.  Do the step that `state` names, report its result with `on`."""

    def __init__(self, model_id: bytes) -> None:
        self.model_id = model_id
        self.state = State.LOOKUP
        self.reason = ""  # why the search was refused

    @property
    def is_over(self) -> bool:
        """Whether the search has ended, in READY or REFUSED."""
        return not NEXT[self.state]

    def on(self, event: Event, reason: str = "") -> State:
        """Take the result of the current step and return the next one.

        reason: the result for people; it is kept if the search ends in REFUSED.  Raises KeyError for an event that the table
        does not list for this state.
        """
        self.state = NEXT[self.state][event]
        if self.state is State.REFUSED:
            self.reason = reason
        return self.state
