"""The latents that kohya's sd-scripts keep: a .npz for each image.

The arrays are latents, original_size, crop_ltrb, and where asked for latents_flipped and alpha_mask.  A file that holds an
image at several resolutions has them once for each, with a suffix: latents_32x64 (height x width).  Each is a row.
As of library/strategy_base.py, strategy_sd.py and, for the outputs of text encoders, the other strategy_*.py of
kohya-ss/sd-scripts, commit 040c04f17e70ff12474ffc0704f183e154d90d71.
"""

from __future__ import annotations

import re
from typing import Final

from aeformat.adapters.arrays import NpzFiles
from aeformat.adapters.items import LATENT, Contents
from aeformat.errors import CacheInvalid

_TEXTS: Final = ("_te_outputs.npz", "_te.npz")  # of SDXL; of flux, sd3, lumina, anima, hi
_LATENTS: Final = "latents"
_KEY: Final = re.compile(r"(.*?)((?:_\d+x\d+)?)", re.DOTALL)


class KohyaFiles(NpzFiles):
    """A folder with the caches of images, of any model whose file has the arrays above."""

    name = "kohya"

    def why_not(self, name: str) -> str | None:
        """As CacheFormat's."""
        if name.endswith(_TEXTS):
            suffix = next(suffix for suffix in _TEXTS if name.endswith(suffix))
            return f"outputs of text encoders, which are a set of their own: format npz, files '*{suffix}'"
        return super().why_not(name)

    def rows(self, contents: Contents, key: str | None) -> list[dict[str, str]]:
        """One for each resolution."""
        if key is not None:
            return super().rows(contents, key)
        parts = {name: _parts(name) for name in contents.tensors}
        rows: dict[str, dict[str, str]] = {suffix: {} for stem, suffix in parts.values() if stem == _LATENTS}
        if not rows:
            raise CacheInvalid(f"it has no array {_LATENTS!r}, with or without a resolution")
        for name, (stem, suffix) in parts.items():
            if suffix in rows:
                rows[suffix][LATENT if stem == _LATENTS else stem] = name
            elif "" in rows or len(rows) == 1:
                rows["" if "" in rows else next(iter(rows))][name] = name
            else:
                raise CacheInvalid(f"array {name!r} belongs to none of the resolutions {', '.join(rows)}")
        return list(rows.values())


def _parts(name: str) -> tuple[str, str]:
    found = _KEY.fullmatch(name)
    assert found is not None  # it matches all
    return found[1], found[2]
