"""The latents that kohya's musubi-tuner keeps: a .safetensors for each image or video.

Keys say shape and type: latents_1x64x96_bfloat16, latents_image_..., clip_bfloat16, f_indices_int32.  They become fields
without these: latents_image, clip, f_indices; the keys themselves are kept too.  Architecture and sizes of images are metadata.
As of src/musubi_tuner/dataset/cache_io.py of kohya-ss/musubi-tuner, commit 07f78ab1dacbcda4b42511772c6dc4e593907098.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from aeformat.adapters.items import LATENT, Contents
from aeformat.adapters.safetensors_files import SafetensorsFiles
from aeformat.errors import CacheInvalid

_TEXTS: Final = "_te.safetensors"
_TYPE: Final = r"_(?:bfloat16|float\d+\w*|u?int\d+|bool)"
_LATENT: Final = re.compile(rf"latents_(?:\d+x)?\d+x\d+{_TYPE}")
_SUFFIX: Final = re.compile(rf"(?:_(?:\d+x)?\d+x\d+)?{_TYPE}$")


class MusubiFiles(SafetensorsFiles):
    """A folder with the caches of images or videos, of one architecture."""

    name = "musubi"

    def why_not(self, name: str) -> str | None:
        """As CacheFormat's."""
        if name.endswith(_TEXTS):
            return f"outputs of text encoders, which are a set of their own: format safetensors, files '*{_TEXTS}'"
        return super().why_not(name)

    def rows(self, contents: Contents, key: str | None) -> list[dict[str, str]]:
        """One row."""
        found = [name for name in contents.tensors if (name == key if key else _LATENT.fullmatch(name))]
        if len(found) != 1:
            raise CacheInvalid(
                f"of its tensors {', '.join(contents.tensors)} not one, but {len(found)}, are the latent"
            )
        fields = {name: _SUFFIX.sub("", name) for name in contents.tensors}
        n_times = Counter(field for name, field in fields.items() if name != found[0])
        return [
            {
                LATENT if name == found[0] else (field if n_times[field] == 1 else name): name
                for name, field in fields.items()
            }
        ]
