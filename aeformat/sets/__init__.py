"""Sets: many latents files that are read and written as one (spec/sets.md)."""
