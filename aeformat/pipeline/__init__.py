"""The main job's steps, each a function over streams: images -> latents -> file -> latents -> images.

Prints nothing; progress goes to a callback.
"""
