"""The JavaScript package (tools/js) in Node and in Chromium."""
