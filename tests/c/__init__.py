"""Tests of tools/c: a reader in C, compiled with sanitizers."""
