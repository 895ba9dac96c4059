"""Whether sending or fetching a decoder pays, with the sum shown (spec/transport.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

POLICIES: Final = ("auto", "always", "never")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A decision and the sum it follows from.  moves: whether the decoder is sent or fetched."""

    moves: bool
    why: str


def weigh(policy: str, *, n_rows: int, image_bytes: float, container_bytes: int, model_bytes: int) -> Weighed:
    """T9-2: with "auto" a missing decoder moves only if N images times what one saves is more than it takes.

    image_bytes: of one image sent otherwise.  container_bytes: of the container of all n_rows.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy {policy!r} is not one of {', '.join(POLICIES)}")
    row_bytes = container_bytes / n_rows
    saved = n_rows * (image_bytes - row_bytes)
    pays = saved > model_bytes
    terms = f"{n_rows:,} x ({image_bytes:,.1f} - {row_bytes:,.1f}) B = {saved:,.0f} B saved"
    total = f"{terms}, the decoder takes {model_bytes:,} B"
    if policy == "auto":
        return Weighed(pays, f"{total}: it {'pays' if pays else 'does not pay'}")
    return Weighed(policy == "always", f"{total}: policy {policy}")
