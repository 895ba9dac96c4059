"""Which rows of a file or a set are still what its images, its decoder and its preprocessing would give (docs/checking.md)."""
