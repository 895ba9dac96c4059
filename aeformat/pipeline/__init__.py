"""The main job's steps, each a function over streams: images -> latents -> file -> latents -> images.

Knows no command line and prints nothing; progress goes to a callback.
"""

from typing import Final

DEFAULT_MODEL: Final = "mnist-exact"
