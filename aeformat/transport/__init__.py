"""The transport without I/O (spec/transport.md): what to send, what to answer, what to believe.

Each machine is a table of state x event.  Bytes, responses and randomness are handed in, actions come out.  No socket,
clock, file or thread is used in here; aeformat.net carries the actions out.
"""
