"""The page of `aeformat view`: what it shows, served on loopback or saved as one file.

The page (tools/page/) reads, checks and decodes by itself.  This package hands it bytes: of the files that a person named, of
their originals, and of decoders of this machine.  Needs no extra.
"""
