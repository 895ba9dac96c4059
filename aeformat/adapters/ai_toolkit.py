"""The latents that ostris' ai-toolkit keeps in its folders _latent_cache: a .safetensors for each image.

The tensor is called latent.  What it was made from is metadata; other tensors become fields.  Beside _latent_cache the tool
keeps embeddings of texts and images in folders of their own, which are left out.
As of toolkit/dataloader_mixins.py of ostris/ai-toolkit, commit 002279cec335268639355a793aee60c4f4ba6f73.
"""

from __future__ import annotations

from typing import Final

from aeformat.adapters.items import Contents
from aeformat.adapters.safetensors_files import SafetensorsFiles

_OTHERS: Final = ("_t_e_cache", "_clip_vision_cache")


class AiToolkitFiles(SafetensorsFiles):
    """A folder _latent_cache, or one above it."""

    name = "ai-toolkit"

    def why_not_below(self, folder: str) -> str | None:
        """As CacheFormat's."""
        return "embeddings, which are a set of their own: format safetensors" if folder in _OTHERS else None

    def rows(self, contents: Contents, key: str | None) -> list[dict[str, str]]:
        """One row."""
        return super().rows(contents, key or "latent")
