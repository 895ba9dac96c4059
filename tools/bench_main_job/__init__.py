"""How fast pack and unpack are beside a bare TensorFlow loop, and what memory they take."""
