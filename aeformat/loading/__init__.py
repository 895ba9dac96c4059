"""Batches of latents for training: one order for all loaders.  order.py says which."""
