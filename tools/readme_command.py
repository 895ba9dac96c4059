"""Print one of README.md's set-up commands, so that CI runs the very line that a newcomer pastes.

    python3 tools/readme_command.py demo | tests

The commands are the only lines of the README's code blocks that begin with "python3 -m venv"; the first is the demo's, the second
the tests'.
"""

from __future__ import annotations

import sys
from pathlib import Path

NAMES = ("demo", "tests")


def command(name: str, readme: str) -> str:
    """The set-up command of that name.  Raises ValueError unless the README has exactly two."""
    commands = [line for line in readme.splitlines() if line.startswith("python3 -m venv")]
    if len(commands) != len(NAMES):
        raise ValueError(f"README.md has {len(commands)} set-up commands, not {len(NAMES)}")
    return commands[NAMES.index(name)]


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in NAMES]:
        sys.exit(f"usage: readme_command.py {'|'.join(NAMES)}")
    print(command(sys.argv[1], Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")))
