"""Results against each other: files, revisions, commits; never torch.

compare    runs against runs, files against files
identity   what must agree before two results are compared
limits     how much a metric may worsen
judge      whether a gate holds, fails, or cannot be judged
moves      what moved, in the network and layer by layer
times      the rule for times
sources    files and folders of results, read
words      a comparison in words and rows
tables     for people: terminal, Markdown
formats    for programs: JSON, JUnit XML
ab/        two revisions of a repository, run in turns on this machine
history/   results over time
"""
