"""Caches as other tools write them, for tests/adapters and tools/adapter_matrix.py."""
