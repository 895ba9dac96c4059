"""python -m aeformat."""

from aeformat.cli.main import run

if __name__ == "__main__":
    run()
