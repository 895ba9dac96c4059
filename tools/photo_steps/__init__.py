"""What each step of a photograph model is worth, measured from a finished pair."""
