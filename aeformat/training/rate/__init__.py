"""Autoencoders trained for bits against error: convolutions, a learned prior, latents that are small integers."""
