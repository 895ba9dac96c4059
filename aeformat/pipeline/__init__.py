"""The steps from images to a file and back, as functions over streams: images -> latents -> file -> latents -> images.

Prints nothing; progress goes to a callback.
"""

from typing import Final

DEFAULT_MODEL: Final = "mnist-exact"
BATCH_ROWS: Final = 4096  # images that are encoded at once
