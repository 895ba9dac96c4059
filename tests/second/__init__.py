"""The second decoder (tools/second) against every vector, against files of its own, and Kaitai beside it."""
