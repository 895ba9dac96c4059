"""The formats, by name.  The module of a format is loaded when somebody names it."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from aeformat.adapters.items import CacheFormat
from aeformat.errors import UsageError

FORMATS: Final = {  # name -> module and class, what it is
    "npy": ("arrays:NpyFiles", "a folder of .npy, one row each"),
    "npz": ("arrays:NpzFiles", "a folder of .npz, one row each, other arrays beside it"),
    "safetensors": (
        "safetensors_files:SafetensorsFiles",
        "a folder of .safetensors, one row each, other tensors beside it",
    ),
    "webdataset": ("webdataset:WebDatasets", "a folder of .tar, one .npy a row, other members beside it"),
    "hdf5": ("hdf5:Hdf5Files", "a folder of .h5: datasets of n rows each; needs h5py"),
    "parquet": ("arrow:ParquetFiles", "a folder of .parquet, whose lists of numbers are arrays; needs pyarrow"),
    "arrow": ("arrow:ArrowFiles", "a folder of .arrow, the same; needs pyarrow"),
    "text": ("text:TextFiles", "a folder of .txt as numpy.savetxt writes, a row a line"),
    "pt": ("torch_files:PtFiles", "a folder of .pt: a tensor, or a dict of tensors; needs torch"),
    "kohya": ("kohya:KohyaFiles", "latents of kohya's sd-scripts (.npz)"),
    "musubi": ("musubi:MusubiFiles", "latents of musubi-tuner (.safetensors)"),
    "ai-toolkit": ("ai_toolkit:AiToolkitFiles", "latents of ai-toolkit (.safetensors)"),
    "diffusion-pipe": ("diffusion_pipe:DiffusionPipeFiles", "latents of diffusion-pipe (metadata.db); needs torch"),
    "simpletuner": ("torch_files:SimpleTunerFiles", "latents of SimpleTuner (.pt); needs torch"),
}
GENERIC: Final = ("npy", "npz", "safetensors", "pt")
"""Formats that take rows of any set; the others take back what was imported from them."""


def format_of(name: str) -> CacheFormat:
    """The format of that name.  Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    module, _, kind = FORMATS[name][0].partition(":")
    made: CacheFormat = getattr(import_module(f"aeformat.adapters.{module}"), kind)()
    return made
