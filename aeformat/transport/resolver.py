"""How a receiver comes by a decoder it may lack (spec/transport.md, section 9).

Owns the order: what is here, whether fetching pays, bytes, digest and model id, golden set, cache.  A decoder that has not
reproduced its golden set is never handed out (T9-4).  Knows nothing of where models lie or how they are fetched.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """What is to be done."""

    LOOKUP = "lookup"  # among the models of this machine
    DISCARD = "discard"  # a damaged cache entry
    ASK = "ask"  # how large the registry's package is
    WEIGH = "weigh"  # whether fetching it pays
    FETCH = "fetch"
    CHECK = "check"  # every rule of the package, and that its model id is the one wanted
    PROVE = "prove"  # its golden set, here
    INSTALL = "install"  # temporary file, sync, rename
    READY = "ready"
    REFUSED = "refused"


class Event(Enum):
    """What came of it."""

    HIT = "hit"
    MISS = "miss"
    CORRUPT = "corrupt"
    DONE = "done"
    PAYS = "pays"
    COSTS = "costs"
    GOOD = "good"
    BAD = "bad"


# T9-1.  What is absent cannot happen.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.LOOKUP: {Event.HIT: State.READY, Event.MISS: State.ASK, Event.CORRUPT: State.DISCARD},
    State.DISCARD: {Event.DONE: State.ASK},
    State.ASK: {Event.HIT: State.WEIGH, Event.MISS: State.REFUSED},
    State.WEIGH: {Event.PAYS: State.FETCH, Event.COSTS: State.REFUSED},
    State.FETCH: {Event.DONE: State.CHECK, Event.BAD: State.REFUSED},
    State.CHECK: {Event.GOOD: State.PROVE, Event.BAD: State.REFUSED},
    State.PROVE: {Event.GOOD: State.INSTALL, Event.BAD: State.REFUSED},
    State.INSTALL: {Event.DONE: State.READY},  # a cache that cannot be written costs the keeping, not the use
    State.READY: {},
    State.REFUSED: {},
}


class ModelResolver:
    """One search for one decoder."""

    def __init__(self, model_id: bytes) -> None:
        self.model_id = model_id
        self.state = State.LOOKUP
        self.why = ""  # it was refused

    @property
    def is_over(self) -> bool:
        """READY or REFUSED."""
        return not NEXT[self.state]

    def on(self, event: Event, why: str = "") -> State:
        """What came of the state's work; the next state.  why: for people, kept if this refuses."""
        self.state = NEXT[self.state][event]
        if self.state is State.REFUSED:
            self.why = why
        return self.state
