"""Loaders of latents beside one another: size on disk, and rows a second of shuffled batches.  See __main__.py."""
