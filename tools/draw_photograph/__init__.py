"""Draw the photograph of the demo: a lake in the mountains, from noise and a few solids; no picture or data set is used.

python -m tools.draw_photograph          writes aeformat/data/demo-photograph.webp (lossless, 768 x 512)

x is to the right, y away from the camera, z up, in metres.
"""
