"""The command line: a file per command; the only room that knows click.

main        the group, and errors to exit codes; run, profile, report, list, schema, env
progress    progress bars
info        the table of snnbench list
latency     snnbench latency
compare     snnbench compare
ab          snnbench ab
history     snnbench history
train       snnbench train
evaluate    snnbench evaluate
"""
