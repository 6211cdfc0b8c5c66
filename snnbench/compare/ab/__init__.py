"""Two revisions of a repository against each other, run in turns on this machine.

revisions      git: commits, and checkouts outside the working tree
environments   an environment per side, on the packages of this one
processes      started, waited for, never left behind
turns          both sides made ready, and run in turns
verdict        slower, not slower, or too noisy to say
"""
