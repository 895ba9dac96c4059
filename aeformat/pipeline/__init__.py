"""The steps from images to a file and back, as functions over streams: images -> latents -> file -> latents -> images.

Prints nothing; progress goes to a callback.
"""
