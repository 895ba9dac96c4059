"""What people keep latents in.  Each module imports its library when it is used, so each runs where the others are not installed."""
