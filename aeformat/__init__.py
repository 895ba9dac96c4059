"""aeformat: a container for what an autoencoder has compressed.  See README.md; spec/ is the authority on the bytes."""

from __future__ import annotations

__version__ = "1.0.0"
