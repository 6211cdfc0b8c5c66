"""The command line: a file per command; the only room that knows click."""
