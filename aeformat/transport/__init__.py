"""The transport protocol without I/O (spec/transport.md): state machines for both ends of an upload and for a fetch.

Each state machine is a table of state x event.  Its caller passes in bytes, responses and randomness, and carries out the
actions that it returns.  No module in here uses a socket, a clock, a file or a thread (.importlinter holds that);
aeformat.net carries the actions out.
"""
