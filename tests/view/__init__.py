"""Tests of `aeformat view`: its server, and the page in a real browser."""
