"""Coverage-guided fuzzing of everything that takes bytes from strangers; run.py is the way in."""
