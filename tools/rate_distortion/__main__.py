"""Measure our models and their rivals: on the MNIST test images, or with --images on the photographs of a folder.

python -m tools.rate_distortion [--help]                  digits: see digits.py
python -m tools.rate_distortion --images DIR [--help]     photographs: see photos/command.py
"""

from __future__ import annotations

import sys

PHOTOGRAPHS = "--images"


def main() -> int:
    """Choose which of the two, before anything that starts threads is imported."""
    if any(argument == PHOTOGRAPHS or argument.startswith(PHOTOGRAPHS + "=") for argument in sys.argv[1:]):
        from tools.rate_distortion.one_core import use_one_core

        use_one_core()
        from tools.rate_distortion.photos import command

        return command.main()
    from tools.rate_distortion import digits

    return digits.main()


if __name__ == "__main__":
    sys.exit(main())
