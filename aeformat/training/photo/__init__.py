"""Photograph models: what they start from, how they are trained, and the integers they become."""
