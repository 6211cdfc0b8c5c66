"""The command line: a file per command; the only room that knows click.

main          the group, and errors as exit codes
options       options that several commands share
card_options  flags for the options that a card lists
output        saving, printing and reporting of results
progress      progress bars
run           snnbench run
profile       snnbench profile
report        snnbench report
info          snnbench list, schema, env
latency       snnbench latency
compare       snnbench compare
ab            snnbench ab
history       snnbench history
train         snnbench train
evaluate      snnbench evaluate
"""
