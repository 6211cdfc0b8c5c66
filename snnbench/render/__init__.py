"""A result for people: screen, page, tables, figures; never torch.

terminal      the summary on the screen
folder        a report in a folder
html          the page
export        csv, Markdown, LaTeX
figures       the figures
canvas        what figures share
tables        layers, side work, checks; the list of all tables
twin_tables   the SNN against its twin and the paper
table         what a table is
engine        the engine's table and figure
layer_latency layers by firing rate: figure, table, csv
findings      what a result shows, in words
notices       what a reader must know first, in words
text          numbers and names as text
escape        foreign text made harmless
"""
