"""python -m tools.draw_photograph: see __init__.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from aeformat.images.photograph import DEMO_PHOTOGRAPH
from tools.draw_photograph.camera import draw

DATA = Path(__file__).resolve().parents[2] / "aeformat" / "data"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw_photograph", description="Draw the demo's photograph.")
    parser.add_argument("--to", type=Path, default=DATA, help="folder to write to")
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw()).save(args.to / DEMO_PHOTOGRAPH, format="WEBP", lossless=True, quality=100, method=6)
    print(f"drew {args.to / DEMO_PHOTOGRAPH}")


if __name__ == "__main__":
    main()
