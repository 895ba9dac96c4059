"""Rate and distortion on photographs of any size: our models and their rivals, measured alike, from real files."""
