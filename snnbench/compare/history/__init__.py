"""Results over time.

files    the files of a history, read
values   a result in plain numbers
series   what compares, in order
steps    where a value stepped
tables   on the screen, and as csv
plots    a plot per metric
"""
