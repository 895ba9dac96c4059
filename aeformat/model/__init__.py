"""Model packages: what they hold, whether it is valid, where they are kept (spec/model.md).  Runs no network."""
