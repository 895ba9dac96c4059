"""Caches of latents that other tools make, to sets and back: `aeformat import` and `aeformat export` (docs/caches.md).

One module a format.  Nothing in a file is run: pickles are refused, or read as weights alone.
"""
