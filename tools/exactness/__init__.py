"""Proof that exact models give the same latents and pixels however, and on whatever, they are computed."""
