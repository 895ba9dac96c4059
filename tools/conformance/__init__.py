"""One table of all readers: what each makes of every vector of spec/vectors, whether its pixels are the same, and how fast it is.

    python -m tools.conformance             # prints the table
    python -m tools.conformance --record    # and writes docs/conformance.json and the tables of docs/conformance.md

`vectors.py` compares what a reader says with a vector's JSON; a module for each language asks its readers; `pixels.py` has the files that
all of them decode, and counts the pixels that differ; `table.py` draws what was found.
"""
