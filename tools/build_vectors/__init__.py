"""Builds spec/vectors/ from the text of the spec, byte by byte.

Imports nothing of aeformat: a file that the package made proves nothing about the package.  Standard library only, so that the
bytes are the same on every machine.  `python -m tools.build_vectors` writes what is absent, `--check` compares.
"""
