"""The price at which refined latents of a model just reach the PSNR that it aims at.

Owns the search.  `pack --refine PRICE` trades bits for error; what PSNR a price gives is known only when it was tried.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from tools.rate_distortion.tables import AIMS, TINY_LOSS

START: Final = 20.0  # bits for a unit of squared error over an image
SAMPLE: Final = 200  # images that the search looks at
NUDGE: Final = 1.05  # where all images fall short of what the sample promised
MOST_NUDGES: Final = 2
_MOST_STEPS: Final = 6  # either way from the start, each by a factor of 2
_CLOSE: Final = 1.08  # two prices that need no third between them


def target(name: str) -> float | None:
    """The PSNR that a model is refined to: the number in its name, or the aim that begins with it; less for a tiny one.

    None for a model whose name does not end in a quality in dB.
    """
    match = re.fullmatch(r"mnist-rd-(tiny-)?(\d+(?:\.\d+)?)", name)
    if match is None:
        return None
    number = float(match[2])
    wanted = next((aim.psnr for aim in AIMS if math.floor(aim.psnr) == number), number)
    return wanted - TINY_LOSS if match[1] else wanted


def find_price(psnr_at: Callable[[float], float], wanted: float) -> float | None:
    """About the lowest price with psnr_at(price) >= wanted; psnr_at grows with it.  None if none of 2^+-6 times START does."""
    price, low, high = START, None, None
    for _ in range(_MOST_STEPS + 1):
        if psnr_at(price) >= wanted:
            high = price
            if low is not None:
                break
            price /= 2
        else:
            low = price
            if high is not None:
                break
            price *= 2
    if high is None or low is None:
        return high
    while high / low > _CLOSE:
        middle = math.sqrt(low * high)
        if psnr_at(middle) >= wanted:
            high = middle
        else:
            low = middle
    return high
