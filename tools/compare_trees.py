"""Show that two checkouts write the same bytes and say the same: a release step, run before and after a refactoring.

    python tools/compare_trees.py OLD NEW [--python PYTHON]

Each tree runs the same commands on the same inputs in folders of its own: every shipped model and encoding is packed, unpacked,
converted and evaluated; every vector is validated; models are exported.  Compared are the SHA-256 of every file written, the
exit code and what was printed, of NumPy's backend.  The inputs are the digits that come with OLD.  Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ENCODINGS = ("text19", "f64le", "f32le", "f16le", "bf16le")
VECTORS_AT_ONCE = 40


def commands(tree: Path) -> Iterator[list[str]]:
    """The command lines, with files named relative to the folder that they run in."""
    names = sorted(path.name.removesuffix(".encoder.aef") for path in (tree / "models").glob("mnist-*.encoder.aef"))
    for name in names:
        is_exact = "exact" in name or "-rd-" in name
        for encoding in ("u8",) if is_exact else ENCODINGS:
            for codec in ("none", "zstd", *(["rans"] if "-rd-" in name else [])):
                made = f"{name}-{encoding}-{codec}.aef"
                how = ["--model", name, "--encoding", encoding, "--codec", codec, "--backend", "numpy"]
                yield ["pack", "digits.gz", "-o", made, *how]
                yield ["info", made, "--json"]
                if encoding in ("u8", "f32le"):
                    yield ["unpack", made, "-o", f"{made}.npy", "--backend", "numpy"]
                    yield ["unpack", made, "-o", f"{made}-rows.npz", "--rows", "7:33", "--backend", "numpy"]
                    yield ["unpack", made, "-o", f"{made}-latents.npy", "--latents"]
                    yield ["convert", made, f"{made}-plain.aef", "--codec", "none"]
                    yield ["eval", made, "--against", "digits.gz", "--backend", "numpy"]
    exact = ["--model", "mnist-exact", "--backend", "numpy"]
    yield ["pack", "digits.gz", "-o", "inside.aef", *exact, "--embed-decoder", "--receipts"]
    yield ["unpack", "inside.aef", "-o", "inside", "--backend", "numpy"]
    yield ["pack", "inside", "-o", "folder.aef", *exact]
    yield [
        "pack",
        "digits.gz",
        "-o",
        "refined.aef",
        "--model",
        "mnist-rd-tiny-22",
        "--refine",
        "6.8",
        "--backend",
        "numpy",
    ]
    for name in ("mnist-exact", "mnist-128-22-128"):
        yield ["model", "export", name, "-o", f"{name}.onnx"]
        yield ["model", "export", name, "-o", f"{name}.safetensors"]
        yield ["model", "show", name]
    yield ["model", "list"]
    vectors = sorted(str(path.relative_to(tree)) for path in (tree / "spec/vectors").rglob("*.aef"))
    for start in range(0, len(vectors), VECTORS_AT_ONCE):
        chosen = vectors[start : start + VECTORS_AT_ONCE]
        yield ["validate", "--json", *(f"tree/{name}" for name in chosen)]


def run(tree: Path, line: list[str], folder: Path, python: str) -> dict[str, object]:
    """What one command did: its exit code, what it printed, and the digests of the files that are new."""
    before = set(files(folder))
    env = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1", "AEFORMAT_CACHE": str(folder / "cache")}
    made = subprocess.run(
        [python, "-m", "aeformat", *line],
        check=False,
        cwd=folder,
        env=env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    new = {name: digest(folder / name) for name in sorted(set(files(folder)) - before)}
    return {
        "exit_code": made.returncode,
        "stdout": text(made.stdout, tree),
        "stderr": text(made.stderr, tree),
        "files": new,
    }


def text(printed: bytes, tree: Path) -> str:
    """What was printed, without the place of the tree."""
    return printed.decode("utf-8", "replace").replace(str(tree), "TREE")


def files(folder: Path) -> list[str]:
    """All files below a folder; what the link to the tree leads to is left out."""
    found = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("tree", "cache")]
        found += [str((Path(top) / name).relative_to(folder)) for name in names]
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Run all commands in both trees, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--python", default=sys.executable, help="the Python of both; its packages are used by both")
    options = parser.parse_args()
    old, new = options.old.resolve(), options.new.resolve()
    n_files = n_differ = 0
    lines = list(commands(old))
    with tempfile.TemporaryDirectory() as top:
        folders = []
        for name, tree in (("old", old), ("new", new)):
            folder = Path(top) / name
            folder.mkdir()
            (folder / "tree").symlink_to(old, target_is_directory=True)  # the vectors, the same for both
            (folder / "digits.gz").write_bytes((old / "aeformat/data/demo-digits-images-idx3-ubyte.gz").read_bytes())
            folders.append((folder, tree))
        for number, line in enumerate(lines, 1):
            first, second = (run(tree, line, folder, options.python) for folder, tree in folders)
            assert isinstance(first["files"], dict)
            n_files += len(first["files"])
            if first != second:
                n_differ += 1
                shown = " ".join(line[:8])
                print(f"differs: aeformat {shown}")
                for key in first:
                    if first[key] != second[key]:
                        print(f"  {key}: {json.dumps(first[key])[:400]}\n    now: {json.dumps(second[key])[:400]}")
            if sys.stderr.isatty():
                print(f"\r{number} of {len(lines)}", end="", file=sys.stderr)
    print(f"{len(lines)} commands, {n_files} files written by each tree, {n_differ} commands differ")
    return 1 if n_differ else 0


if __name__ == "__main__":
    sys.exit(main())
