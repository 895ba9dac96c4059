"""For tests and benchmarks on 127.0.0.1: a server in a process of its own, and a proxy that damages what passes through it."""
