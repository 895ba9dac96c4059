"""Training runs that are no recipes of shipped models."""
