"""The container: its bytes, read and written (spec/container.md).  No module here knows of models, images or networks."""
