"""Sets that many processes make together, on one machine or on many (spec/sets.md, section 5)."""
