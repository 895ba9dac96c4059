"""Making models: recipes, the training loop, checkpoints, and the way from float weights to packages."""
