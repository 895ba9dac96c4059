"""Read and write images: uint8 arrays from and to IDX, .npy, .npz, image files, folders and pipes.

Pillow is imported only to read or write an image file, or to convert an image.
"""

from aeformat.images.digits import demo_digits
from aeformat.images.fit import ImageBlock, ImageFit
from aeformat.images.mnist import locate_mnist
from aeformat.images.picture import save_comparison
from aeformat.images.sink import ImageSink, open_sink
from aeformat.images.source import ImageSource, open_source

__all__ = [
    "ImageBlock",
    "ImageFit",
    "ImageSink",
    "ImageSource",
    "demo_digits",
    "locate_mnist",
    "open_sink",
    "open_source",
    "save_comparison",
]
