"""What tools/c/aef.h says of a vector: tools/c/conformance.c, compiled for this machine or for an emulated big-endian one."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
from pathlib import Path
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from tools.conformance.pixels import Work
from tools.conformance.programs import Missing, program, run
from tools.conformance.vectors import ROOT, LeftOut, Vector, as_json

C: Final = ROOT / "tools" / "c"
SILENT: Final = ("file_work",)
_TYPES: Final = ("f64", "f32", "f16", "bf16", "u8", "i8", "u16")
_NUMBERS: Final = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bool": "?",
}  # fmt: skip


def native(folder: Path) -> list[str]:
    """The command of the runner for this machine, with zstd.  Raises Missing."""
    has_zstd = subprocess.run(
        [program("gcc"), "-E", "-include", "zstd.h", "-x", "c", os.devnull], capture_output=True, check=False
    )
    if has_zstd.returncode:
        raise Missing("zstd.h (Debian: libzstd-dev)")
    return [_compiled(folder / "conformance", "gcc", "-DAEF_ZSTD", "-lzstd")]


def big_endian(folder: Path) -> list[str]:
    """The same without zstd on an emulated s390x; the emulator is that of AEFORMAT_PYTHON_BE, or on the path.  Raises Missing."""
    beside = Path(os.environ.get("AEFORMAT_PYTHON_BE", "/")).parent / "usr" / "bin" / "qemu-s390x-static"
    qemu = str(beside) if beside.exists() else program("qemu-s390x-static")
    return [qemu, _compiled(folder / "conformance-be", "s390x-linux-gnu-gcc", "-static")]


def _compiled(to: Path, compiler: str, *options: str) -> str:
    run([program(compiler), "-std=c99", "-O2", "-o", str(to), str(C / "conformance.c"), *options])
    return str(to)


class CReader:
    """Says of vectors what the runner says.  has_zstd: else what takes it is left out."""

    def __init__(self, command: list[str], *, has_zstd: bool = True) -> None:
        self._command, self._has_zstd = command, has_zstd
        self._answers: dict[str, dict[str, Any]] = {}

    def look(self, vectors: list[Vector]) -> None:
        """Ask the runner once about all."""
        lines = [f"check {vector.path}" for vector in vectors]
        self._answers = dict(zip((vector.name for vector in vectors), self.ask(lines), strict=True))

    def ask(self, lines: list[str]) -> list[dict[str, Any]]:
        """What the runner answers, one map a line."""
        text = "".join(line + "\n" for line in lines)
        return [json.loads(line) for line in run(self._command, text=text).splitlines()]

    def says(self, vector: Vector) -> dict[str, Any]:
        """For `tally`."""
        answer = self._answers[vector.name]
        refused = answer["validator"] or {}
        if not self._has_zstd and refused.get("code") == "unsupported" != vector.want.get("code"):
            raise LeftOut("zstd")
        if not vector.is_valid:
            if vector.want["rule"] == "M6-2" and not answer.get("computes", 1):
                raise LeftOut("profile float32 is not computed")
            return {role: error_of(answer[role]) for role in ("reader", "validator")}
        if refused:
            return {"problem": refused}
        return self._package(vector, answer) if vector.is_model else latents_of(vector.name, answer)

    def decode(self, work: Work) -> tuple[NDArray[np.uint8], float]:
        """For `decoded`."""
        out = work.path.with_suffix(".c")
        (said,) = self.ask([f"decode {work.path} {out}"])
        return np.fromfile(out, np.uint8), said["seconds"]

    def _package(self, vector: Vector, answer: dict[str, Any]) -> dict[str, Any]:
        if vector.want["profile"] != "exact":
            raise LeftOut("profile float32 is not computed")
        lines = run_lines(vector.path, vector.want)
        said = self.ask(lines) if lines else []
        n_rows = len(vector.want.get("rows_in", []))
        made = [_numbers(row["out"], vector.want) for row in said[:n_rows]]
        refused = zip(vector.want.get("rows_refused", []), said[n_rows:], strict=True)
        return package_of(answer) | {
            "rows_out": made,
            "rows_refused": [row for row, got in refused if got["code"] == "value"],
        }


def error_of(answer: dict[str, Any] | None) -> dict[str, Any] | None:
    """A refusal, as the vectors write it."""
    if answer is None:
        return None
    return {**{key: answer[key] for key in ("rule", "code", "at")}, "inside": "dECo" if answer["inside"] else ""}


def latents_of(name: str, got: dict[str, Any]) -> dict[str, Any]:
    """What "check" says of latents, with the keys of the vectors.  name: of the vector."""
    header = msgpack.unpackb(bytes.fromhex(got["header"]))
    n_free = header["dims"].count(0) + header.get("image", []).count(0)
    names = [_names(got, first, n) for first, n, *_ in got["blocks"]]
    return {
        **{key: header.get(key) for key in ("kind", "dims", "image", "encoding", "codec")},
        **{key: header[key].hex() if key in header else None for key in ("decoder", "encoder", "foreign_decoder")},
        **{key: got[key] for key in ("n_rows", "n_chunks", "content_id", "values_sha256")},
        "filter": header.get("filter", "none"), "values": _TYPES[got["type"]], "ext": as_json(header.get("ext", {})),
        "described": as_json(header.get("described")), "has_index": bool(got["has_index"]), "values_hex": got["values_hex"],
        "sizes": [_sizes(block[2], n_free) for block in got["blocks"]],
        "receipts": [[block[3][i : i + 64] for i in range(0, len(block[3]), 64)] for block in got["blocks"]],
        "names": _of_history(names) if name.startswith("history/") else names,
        "fields": [_fields(got, first, n) for first, n, *_ in got["blocks"]],
    }  # fmt: skip


def package_of(got: dict[str, Any]) -> dict[str, Any]:
    """What "check" says of a package."""
    manifest = msgpack.unpackb(bytes.fromhex(got["manifest"]))
    return {
        "kind": "model", **{key: manifest[key] for key in ("role", "profile", "input", "output")},
        "decoder": manifest["decoder"].hex() if "decoder" in manifest else None, "model_id": got["content_id"],
        "n_chunks": got["n_chunks"], "n_tensors": len(manifest["tensors"]), "work": got["work"],
    }  # fmt: skip


def run_lines(path: Path, want: dict[str, Any]) -> list[str]:
    """Commands that run all rows of a package of profile "exact", then those that are refused."""
    lines = []
    for i, row in enumerate(want.get("rows_in", [])):
        sizes = [0, 0, 0, 0]
        if "sizes_in" in want:
            into, out = want["sizes_in"][i], want["sizes_out"][i]
            sizes = [*into, *out] if want["role"] == "decoder" else [*out, *into]
        lines.append(f"run {path} {' '.join(map(str, sizes))} {plain(row)}")
    return lines + [f"run {path} 0 0 0 0 {plain(row)}" for row in want.get("rows_refused", [])]


def plain(numbers: list[int]) -> str:
    """Bytes of numbers of type "u8" or "i8", in hex."""
    return bytes(number % 256 for number in numbers).hex()


def _numbers(text: str, want: dict[str, Any]) -> list[int]:
    return list(struct.unpack(f"{len(text) // 2}{'b' if want['output']['type'] == 'i8' else 'B'}", bytes.fromhex(text)))


def _sizes(text: str, n_free: int) -> list[list[int]] | None:
    numbers = struct.unpack(f"<{len(text) // 8}I", bytes.fromhex(text))
    return [list(numbers[i : i + 1 + n_free]) for i in range(0, len(numbers), 1 + n_free)] or None


def _names(got: dict[str, Any], first: int, n: int) -> dict[str, Any] | None:
    columns = {key: values[first : first + n] for key, values in got["names"].items()}
    found = {
        key: [as_json(msgpack.unpackb(bytes.fromhex(item))) for item in values]
        for key, values in columns.items()
        if all(values)
    }
    return found or None


def _of_history(names: list[dict[str, Any] | None]) -> list[Any] | None:
    return [name for block in names if block for name in block["names"]] or None


def _fields(got: dict[str, Any], first: int, n: int) -> dict[str, Any] | None:
    columns: dict[str, list[Any]] = {}
    for row in got["fields"][first : first + n]:
        for name, kind, sizes, text in row:
            columns.setdefault(bytes.fromhex(name).decode("utf-8"), []).append(field_value(kind, sizes, text))
    return columns or None


def field_value(kind: str, sizes: list[int], text: str | None) -> Any:
    """A value of a field, as the vectors have it.  text: its bytes in hex."""
    data = None if text is None else bytes.fromhex(text)
    if data is None or kind in ("text", "bytes"):
        return data if data is None else data.decode("utf-8") if kind == "text" else {"hex": text}
    numbers = [number for (number,) in struct.iter_unpack("<" + _NUMBERS[kind], data)]
    if len(numbers) != math.prod(sizes):
        raise ValueError(f"{len(numbers)} numbers for sizes {sizes}")
    found = [n if math.isfinite(n) else {"hex": struct.pack("<d", n).hex()} for n in numbers]
    return found if sizes else found[0]
