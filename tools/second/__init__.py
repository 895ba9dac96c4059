"""A second decoder of `.aef`, written from spec/container.md and spec/model.md alone.

It shares no line with the package: plain, slow, laid out like the specification, so that the two can be held against
each other.  Lists of Python numbers, no arrays.
"""
