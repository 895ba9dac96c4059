"""The command line: one module a command.  Owns words for people, exit codes and progress; the work is done elsewhere."""
