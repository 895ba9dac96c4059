"""Latents of a foreign decoder, and headers that say what the latents are, valid and invalid (section 3.3, format 1.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import emit
from tools.build_vectors.latents import DESCRIBED, SMALL, UNKNOWN, Latents
from tools.build_vectors.sample_networks import TWO_PIXELS
from tools.build_vectors.sized import sized

_AT = 24
_NETWORK = bytes(range(100, 132))
_VAE = Latents(
    blocks=[[[0.5, -1.25, 2.0, 0.0] * 2]], dims=[4, 1, 2], encoding="bf16le", decoder=None, foreign_decoder=_NETWORK, image=None
)  # fmt: skip
_OURS = SMALL  # its decoder is a package


def doubles(*numbers: float) -> bytes:
    """Binary64 each."""
    return struct.pack(f"<{len(numbers)}d", *numbers)


_LISTS = {"axis": 0, "scale": doubles(2.0, 0.5, 1.0, -3.0), "shift": doubles(0.0, 1.5, -1e300, 5e-324)}
_ALL = {
    "colour": "srgb", "crop": "center", "foreign_encoder": bytes(range(32, 64)), "kind": "sample", "resize": "cover",
    "resize_filter": "lanczos", "scale": doubles(0.18215), "seed": 2**53 - 1, "shift": doubles(-0.0609), "size": [512, 768],
    "software": "a trainer 1.2", "step": doubles(1 / 128), "value_range": "-1..1",
}  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _keys()
    yield from _types()
    yield from _names()
    yield from _numbers()
    yield from _forms()
    yield from _together()
    yield from _content()


def _valid() -> Iterator[Case]:
    texts = dict.fromkeys(("colour", "crop", "kind", "resize", "resize_filter", "value_range"), "other: é")
    plain = Latents(blocks=_VAE.blocks, dims=_VAE.dims, encoding="bf16le", decoder=None, image=None)
    long = {"kind": "other: " + "x" * 1024, "software": "y" * 1024, "size": [1, 65_535]}
    most = {"axis": 7, "step": doubles(*range(1, 2049)), "scale": doubles(*([1.0] * 2047 + [2.0]))}
    wide = Latents(
        blocks=[[[0.0] * 2048]], dims=[1] * 7 + [2048], encoding="f32le", decoder=None, image=None, described=most
    )
    buckets = sized([4, 0, 0], ((1, 2), (2, 1)), image=None, decoder=None, foreign_decoder=_NETWORK, described=_LISTS)
    for number, name, file, about, rules in (
        (210, "foreign", _VAE, "A decoder that is no package, by its network id.", "C3-7 C3-19 C9-6"),
        (211, "foreign-and-image", _VAE.with_(image=[8, 16, 3, "u8"]), "The same, with the size of its images.", "C3-19"),
        (212, "all", _VAE.with_(described=_ALL), "Every key but axis.", "C2-4 C3-21 C3-22 C3-23 C3-24 C3-26 C9-6"),
        (213, "lists", _VAE.with_(described=_LISTS), "A number for each channel.", "C3-24 C3-25 C9-6"),
        (214, "other", _VAE.with_(described=texts), "Every name that may be another.", "C3-22 C3-23"),
        (215, "package", _OURS.with_(described={"kind": "mean", "crop": "random", "seed": 0}), "A decoder that is a package.", "C3-20 C3-26"),
        (216, "package-encoder", _OURS.with_(described={"resize": "fit"}, encoder=bytes(32)), "Both are packages.", "C3-26"),
        (217, "unknown", plain.with_(described={"step": doubles(0.25, 0.5), "axis": 2}), "A decoder that is not known; a list of steps alone.", "C3-25"),
        (218, "sized", buckets, "Rows of their own size, all three flag bits; the channels have one.", "C3-17 C3-25 C9-6"),
        (219, "longest-texts", _VAE.with_(described=long), "Texts of 1,024 bytes, the widest size.", "C3-22"),
        (220, "longest-lists", wide, "2,048 numbers, along the last of eight axes.", "C3-22 C3-25"),
        (221, "one-number", _VAE.with_(described={"scale": doubles(2.0), "step": doubles(5e-324)}), "The smallest step.", "C3-24"),
    ):  # fmt: skip
        case = file.good(number, f"typed-{name}", about, rules)
        case.expected["format"] = "1.1"
        yield case


def _with(
    number: int, name: str, described: object, rule: str, why: str, base: Latents = _VAE, code: str | None = None
) -> Case:
    """A header with flag bit 4 and this description."""
    draft = base.with_(header={"described": described}).draft
    draft = replace(draft, flags=draft.flags | DESCRIBED, minor=1)
    return bad(number, f"typed-{name}", draft.build(), rule, _AT, why, code=code)


def _keys() -> Iterator[Case]:
    model = replace(TWO_PIXELS.file(), minor=1, flags=DESCRIBED)
    fields = {"byte_order": "little", "codec": "none", "kind": "model", "model": TWO_PIXELS.model_id}
    both = replace(model, header=emit(fields | {"described": {"kind": "mean"}}))
    draft = _VAE.with_(described={"kind": "mean"}).draft
    no_flag = replace(draft, flags=UNKNOWN)
    missing = replace(_VAE.draft, flags=UNKNOWN | DESCRIBED)
    named = replace(_OURS.with_(header={"foreign_decoder": _NETWORK}).draft, minor=1)
    newer = "unsupported"
    yield bad(1200, "typed-model", model.build(), "C3-20", _AT, "Flag bit 4 in a model package.")
    yield bad(1201, "typed-model-key", both.build(), "C3-7", _AT, "The key in a model package.", code=newer)
    yield bad(1202, "typed-without-flag", no_flag.build(), "C3-7", _AT, "The key without flag bit 4.", code=newer)
    yield bad(1203, "typed-flag-alone", missing.build(), "C3-7", _AT, "Flag bit 4 without the key.", code="header")
    yield bad(1204, "typed-foreign-without-flag", named.build(), "C3-7", _AT, "No flag bit 1.", code=newer)
    yield bad(1205, "typed-minor-0", replace(draft, minor=0).build(), "C2-4", 10, "It came with minor version 1.")
    both_named = _VAE.with_(header={"decoder": bytes(32)}).draft
    yield bad(1206, "typed-foreign-and-decoder", both_named.build(), "C3-19", _AT, "A package and a foreign decoder.")
    yield _with(1207, "empty", {}, "C3-21", "Nothing is said.", code="header")
    yield _with(1208, "unknown-key", {"kind": "mean", "zoom": 2}, "C3-21", "A key of a later version.", code=newer)
    yield _with(1209, "key-in-capitals", {"Kind": "mean"}, "C3-21", "Names are exact.", code=newer)
    yield _with(1210, "unknown-key-first", {"kind": 1, "zoom": 2}, "C3-21", "C3-21 comes before C3-22.", code=newer)
    coded = Latents(blocks=[[[1, 2, 3]]], dims=[3], codec="rans", decoder=None)
    yield _with(1211, "rans", {"zoom": 2}, "C3-19", "C3-19 comes before C3-21.", coded)


def _types() -> Iterator[Case]:
    wrong: tuple[tuple[str, object, str], ...] = (
        ("axis", -1, "A negative axis."), ("axis", 8, "There are 8 axes."), ("axis", True, "A boolean is no axis."),
        ("axis", "0", "A string."), ("colour", b"srgb", "A binary string."), ("crop", 0, "A number."), ("kind", True, "A boolean."),
        ("resize", [], "A list."), ("resize_filter", {}, "A map."), ("value_range", [-1, 1], "A list of numbers."),
        ("kind", "other: ", "No text."), ("crop", "other: " + "x" * 1025, "A text of 1,025 bytes."),
        ("resize", "other: a\tb", "A control character."), ("colour", "other: \x7f", "A control character above ASCII's letters."),
        ("value_range", "other: " + "\u00e9" * 513, "1,026 bytes, though 513 characters."),
        ("foreign_encoder", bytes(31), "31 bytes."), ("foreign_encoder", "x" * 32, "A string."),
        ("scale", b"", "No number."), ("scale", bytes(7), "Not a whole number."), ("scale", 2, "An integer."),
        ("shift", [1, 2], "A list."), ("shift", "1.0", "A decimal."), ("step", bytes(9), "One byte too many."),
        ("step", doubles(*range(1, 2050)), "2,049 numbers."), ("seed", -1, "A negative seed."), ("seed", False, "A boolean."),
        ("seed", "7", "A string."), ("size", [512], "No width."), ("size", [512, 512, 3], "Channels too."), ("size", [0, 512], "A height of 0."),
        ("size", [512, 65_536], "A width over the limit."), ("size", [True, 512], "A boolean."), ("size", 512, "One number."),
        ("software", "", "No text."), ("software", "a\nb", "A line end."), ("software", "x" * 1025, "1,025 bytes."), ("software", b"x", "A binary string."),
    )  # fmt: skip
    for number, (key, value, why) in enumerate(wrong, 1220):
        kept = {"kind": "sample"} if key == "seed" else {}
        name = f"{key.replace('_', '-')}-{number}"
        yield _with(number, name, {**kept, key: value}, "C3-22", why)
    yield _with(1260, "type-first", {"crop": "oval", "size": 1}, "C3-22", "C3-22 comes before C3-23.")
    for number, name, changes in (
        (1261, "foreign-31-bytes", {"foreign_decoder": bytes(31)}),
        (1262, "foreign-hex", {"foreign_decoder": "x" * 64}),
        (1263, "described-list", {"described": []}),
    ):
        draft = replace(_VAE.with_(header={"described": {"kind": "mean"}, **changes}).draft, flags=UNKNOWN | DESCRIBED)
        yield bad(number, f"typed-{name}", draft.build(), "C3-8", _AT, "Another type than that of the table.")


def _names() -> Iterator[Case]:
    for number, (key, name) in enumerate(
        (("colour", "rgb"), ("crop", "oval"), ("kind", "median"), ("resize", "half"), ("resize_filter", "LANCZOS"),
         ("value_range", "-1...1"), ("kind", ""), ("kind", "other:x"), ("kind", "Other: x"), ("crop", "bucket ")),
        1270,
    ):  # fmt: skip
        why = f"{name!r} is not assigned."
        yield _with(number, f"name-{number}", {"resize": "fit", key: name}, "C3-23", why)
    yield _with(1280, "name-first", {"kind": "median", "scale": doubles(0)}, "C3-23", "C3-23 comes before C3-24.")


def _numbers() -> Iterator[Case]:
    wrong: tuple[tuple[str, tuple[float, ...], str], ...] = (
        ("scale", (float("nan"),), "NaN."), ("shift", (float("inf"),), "Infinity."), ("step", (float("-inf"),), "Minus infinity."),
        ("scale", (0.0,), "Nothing is divided by 0."), ("scale", (1.0, 2.0, 0.0, 4.0), "One of them is 0."), ("scale", (-0.0,), "Negative zero."),
        ("shift", (-0.0,), "Negative zero."), ("shift", (1.0, -0.0, 2.0, 3.0), "One of them is negative zero."),
        ("step", (0.0,), "A step of 0."), ("step", (-0.5,), "A negative step."), ("step", (1.0, 2.0, 3.0, -4.0), "One of them is negative."),
    )  # fmt: skip
    for number, (key, numbers, why) in enumerate(wrong, 1290):
        axis = {"axis": 0} if len(numbers) > 1 else {}
        yield _with(number, f"{key}-{number}", {key: doubles(*numbers), **axis}, "C3-24", why)
    yield _with(
        1301, "number-first", {"scale": doubles(1), "shift": doubles(-0.0)}, "C3-24", "C3-24 comes before C3-25."
    )


def _forms() -> Iterator[Case]:
    four = doubles(1.0, 2.0, 3.0, 4.0)
    free = sized([0, 1, 2], ((4,),), image=None, decoder=None)
    wrong: tuple[tuple[str, dict[str, Any], str, Latents], ...] = (
        ("scale-1", {"scale": doubles(1)}, "A scale of 1 is left out.", _VAE),
        ("shift-0", {"shift": doubles(0)}, "A shift of 0 is left out.", _VAE),
        ("scale-equal", {"scale": doubles(2, 2, 2, 2), "axis": 0}, "Four numbers that one could stand for.", _VAE),
        ("shift-equal", {"shift": doubles(0, 0, 0, 0), "axis": 0}, "Four times 0.", _VAE),
        ("step-equal", {"step": doubles(1, 1, 1, 1), "axis": 0, "scale": four}, "The second list is one number.", _VAE),
        ("axis-missing", {"scale": four}, "A list of numbers without an axis.", _VAE),
        ("axis-alone", {"axis": 0, "kind": "mean"}, "An axis without a list.", _VAE),
        ("axis-and-number", {"axis": 0, "scale": doubles(2)}, "An axis with one number.", _VAE),
        ("axis-3", {"axis": 3, "scale": four}, "dims has the axes 0 to 2.", _VAE),
        ("axis-of-2", {"axis": 2, "scale": four}, "Four numbers, and the axis has the size 2.", _VAE),
        ("axis-free", {"axis": 0, "scale": four}, "An axis that has no size of its own.", free),
        ("lists-differ", {"axis": 0, "scale": four, "step": doubles(1, 2)}, "A list of 4 and one of 2.", _VAE),
        ("form-first", {"scale": doubles(1), "seed": 1}, "C3-25 comes before C3-26.", _VAE),
    )
    for number, (name, described, why, base) in enumerate(wrong, 1310):
        yield _with(number, name, described, "C3-25", why, base)


def _together() -> Iterator[Case]:
    wrong: tuple[tuple[str, dict[str, Any], str, Latents], ...] = (
        ("scale-of-package", {"scale": doubles(2)}, "A package takes the values as they are.", _OURS),
        ("shift-of-package", {"shift": doubles(2)}, "A package takes the values as they are.", _OURS),
        ("two-encoders", {"foreign_encoder": _NETWORK}, "An encoder that is a package, and one that is none.", _VAE.with_(encoder=bytes(32))),
        ("filter-alone", {"resize_filter": "box"}, "Nothing says that it was resized.", _VAE),
        ("filter-of-none", {"resize": "none", "resize_filter": "box"}, "It was not resized.", _VAE),
        ("seed-alone", {"seed": 1}, "Nothing says what was drawn.", _VAE),
        ("seed-of-mean", {"kind": "mean", "crop": "center", "seed": 1}, "Nothing was drawn.", _VAE),
    )  # fmt: skip
    for number, (name, described, why, base) in enumerate(wrong, 1330):
        yield _with(number, name, described, "C3-26", why, base)


def _content() -> Iterator[Case]:
    """Files whose content id leaves out what belongs to it, or has what does not."""
    file = _VAE.with_(described=_LISTS)
    for number, name, other in (
        (1340, "foreign", file.with_(foreign_decoder=None)),
        (1341, "scale", file.with_(described={key: _LISTS[key] for key in ("axis", "shift")})),
        (1342, "axis", file.with_(described={**_LISTS, "axis": None})),
    ):
        draft = file.draft
        trailer = replace(draft.trailer, content_id=other.content_id) if draft.trailer else None
        built = replace(draft, trailer=trailer).build()
        at = len(built.data) - 64 + 28
        yield bad(
            number,
            f"typed-content-without-{name}",
            built,
            "C9-6",
            at,
            f"A content id without {name}.",
            seek="may accept",
        )
