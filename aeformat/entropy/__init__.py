"""Entropy coding of integer latents under a decoder's prior: the codec rans (spec/container.md, section 6).

prior.py: the frequencies and what each symbol costs.  rans.py: rows of symbols <-> bytes.  Both need NumPy; whoever must
start fast imports them on first use.
"""
