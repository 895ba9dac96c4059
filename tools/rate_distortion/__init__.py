"""Rate and distortion on the MNIST test images: our models and their rivals, measured alike, from real bytes."""
