"""Whether to transfer a missing decoder, with the sum that decides it (spec/transport.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

POLICIES: Final = ("auto", "always", "never")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a decoder is to be sent or fetched.  reason: the sum that decided it, for people."""

    should_transfer: bool
    reason: str


def decide_transfer(
    policy: str, *, n_rows: int, image_bytes: float, container_bytes: int, model_bytes: int
) -> Decision:
    """Decide whether a missing decoder is to be sent or fetched (T9-2).

    With policy "auto" it is if the container of n_rows rows and the decoder take less together than the n_rows images.
    "always" and "never" do what they say.  image_bytes: of one image in the format that it would be sent in otherwise.
    Raises ValueError for another policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy {policy!r} is not one of {', '.join(POLICIES)}")
    row_bytes = container_bytes / n_rows
    saved = n_rows * (image_bytes - row_bytes)
    is_saving = saved > model_bytes
    terms = f"{n_rows:,} x ({image_bytes:,.1f} - {row_bytes:,.1f}) B = {saved:,.0f} B saved"
    total = f"{terms}, the decoder takes {model_bytes:,} B"
    if policy == "auto":
        return Decision(is_saving, f"{total}: it {'pays' if is_saving else 'does not pay'}")
    return Decision(policy == "always", f"{total}: policy {policy}")
