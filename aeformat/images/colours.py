"""The colours of an image file: from what Pillow decodes to grey or RGB in sRGB, of 8 bits a channel.

Owns what becomes of colour profiles, of transparency, of palettes, and of modes that are neither grey nor RGB:
- an embedded ICC profile is applied: the pixels become those of sRGB.  A profile that changes no colour by more than one
  level is sRGB by another name, and the pixels stay as they are.  One that cannot be applied is an error;
- alpha is dropped where every pixel is opaque, flattened on a background where the caller names one, refused otherwise;
- a palette becomes grey where all its colours are, else RGB.  RGB stays RGB even where its channels are equal;
- CMYK and other colour spaces are refused.
Pillow is imported on first use.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aeformat.errors import Hint, ImageError, UsageError
from aeformat.images.exact_read import reason_of
from aeformat.images.fit import Colour, require_pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image as Images

_OPAQUE: Final = (255, 255)
_SAME_LEVELS: Final = 1  # by which a profile may differ from sRGB and count as sRGB: rounding
_CUBE_STEPS: Final = 17  # colours of a cube on each axis with which a profile is compared with sRGB
_PROFILES_KEPT: Final = 8
_BLACK_POINT_COMPENSATION: Final[Any] = 0x2000  # of LittleCMS; Pillow has a name for it from 10.3 on


def named_colour(text: str) -> Colour:
    """A colour as people write it: "white", "#20c0ff", "rgb(32, 192, 255)".  Raises UsageError."""
    require_pillow("colours by their names")
    from PIL import ImageColor

    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        raise UsageError(f"{text!r} is no colour; a colour is a name (white), #rrggbb, or rgb(r, g, b)") from None
    if len(colour) != 3:
        raise UsageError(f"{text!r} has a transparency of its own; a background has none")
    return colour


def to_grey_or_rgb(picture: Images.Image, path: Path | str, background: Colour | None) -> Images.Image:
    """Mode L or RGB.  Raises ImageError where there is no such image."""
    profile = picture.info.get("icc_profile")
    picture, alpha = _split_alpha(picture)
    if picture.mode not in ("L", "RGB"):
        raise ImageError(f"{path}: has {picture.mode} pixels, expected grey or RGB; convert it first")
    if profile:
        picture = _in_srgb(picture, profile, path)
    if alpha is None or alpha.getextrema() == _OPAQUE:
        return picture
    if background is None:
        raise ImageError(f"{path}: has transparent pixels", hint=Hint.SET_BACKGROUND)
    return _flattened(picture, alpha, background)


def _split_alpha(picture: Images.Image) -> tuple[Images.Image, Images.Image | None]:
    """The colours, palettes and single bits resolved, and the channel of transparency if there is one."""
    alpha = None
    if picture.has_transparency_data:
        picture = picture.convert("LA" if picture.mode in ("1", "L", "LA") else "RGBA")
        alpha = picture.getchannel("A")
        return (picture.getchannel("L") if picture.mode == "LA" else picture.convert("RGB")), alpha
    if picture.mode in ("1", "LA"):
        return picture.convert("L"), None
    if picture.mode in ("P", "PA"):
        colours = np.asarray(picture.convert("RGB"))
        is_grey = bool((colours == colours[..., :1]).all())
        return (picture.convert("RGB").getchannel("R") if is_grey else picture.convert("RGB")), None
    return picture, None


def _flattened(picture: Images.Image, alpha: Images.Image, background: Colour) -> Images.Image:
    """On a background, in sRGB as web browsers do it; grey stays grey on a grey background."""
    from PIL import Image

    if picture.mode == "L" and len(set(background)) > 1:
        picture = picture.convert("RGB")
    below = Image.new(picture.mode, picture.size, background[0] if picture.mode == "L" else background)
    below.paste(picture, mask=alpha)
    return below


def _in_srgb(picture: Images.Image, profile: bytes, path: Path | str) -> Images.Image:
    """The same colours as numbers of sRGB.  Raises ImageError for a profile that cannot be applied."""
    try:
        change = _change_of(bytes(profile), picture.mode)
    except _NoProfile as error:
        raise ImageError(
            f"{path}: its colour profile cannot be applied: {error}; convert it to sRGB first, or remove the profile"
        ) from None
    if change is None:
        return picture
    if picture.mode == "L":
        return picture.point(change)
    from PIL import ImageCms

    ImageCms.applyTransform(picture, change, inPlace=True)
    return picture


class _NoProfile(ValueError):
    """Why a profile cannot be applied."""


@functools.lru_cache(maxsize=_PROFILES_KEPT)
def _change_of(profile: bytes, mode: str) -> Any:
    """What turns pixels of this mode into sRGB: None for no change, a list of 256 levels for L, a transform for RGB.

    Raises _NoProfile.
    """
    from PIL import Image, ImageCms, features

    if not features.check("littlecms2"):
        raise _NoProfile("this Pillow comes without LittleCMS")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if (space, mode) not in (("RGB", "RGB"), ("RGB", "L"), ("GRAY", "L")):
            raise _NoProfile(f"it is for {space or 'unknown'} pixels, and these are {mode}")
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            "RGB" if space == "RGB" else "L",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            _BLACK_POINT_COMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise error if isinstance(error, _NoProfile) else _NoProfile(reason_of(error)) from error
    probe = _greys(space) if mode == "L" else _cube()
    made = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform))
    if np.abs(made.astype(np.int16) - (probe if probe.ndim == 3 else probe[..., np.newaxis])).max() <= _SAME_LEVELS:
        return None
    return made[0, :, 1].tolist() if mode == "L" else transform


def _greys(space: str) -> NDArray[np.uint8]:
    """All grey levels, in one row of pixels."""
    levels = np.arange(256, dtype=np.uint8)[np.newaxis]
    return np.repeat(levels[..., np.newaxis], 3, axis=2) if space == "RGB" else levels


def _cube() -> NDArray[np.uint8]:
    """Colours from all over RGB, in one row of pixels."""
    steps = np.linspace(0, 255, _CUBE_STEPS).round().astype(np.uint8)
    red, green, blue = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack([red, green, blue], axis=-1).reshape(1, -1, 3)
