"""Two revisions of a repository against each other, run in turns on this machine."""
