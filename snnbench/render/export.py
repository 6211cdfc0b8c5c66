"""Tables as CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import re

from snnbench.render import text
from snnbench.render.escape import cell, markdown, printable
from snnbench.render.table import Table

LONG_TABLE_ROWS = 40
"""Rows from which a LaTeX table breaks over pages."""
WRAP_CHARACTERS = 60
"""Length of text from which a LaTeX column is broken into lines."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "µ": r"\textmu{}",
    text.TIMES: r"$\times$",
    text.AT_LEAST: r"$\geq$",
    text.AT_MOST: r"$\leq$",
    text.UNKNOWN: "--",
}
_EXPONENT = re.compile(r"^(-?[\d.]+)e(-?\d+)$")


def to_csv(table: Table) -> str:
    """Write the DataFrame with all digits; missing values are empty."""
    safe = table.data.copy()
    for name, column in table.data.items():
        if column.dtype.kind == "O":  # strings; numbers stay as they are, with all digits
            safe[name] = [cell(value) if isinstance(value, str) else value for value in column]
    return str(safe.to_csv(index=False, lineterminator="\n"))


def to_markdown(table: Table) -> str:
    """Write a heading, the caption and a pipe table."""
    headers = [_markdown(column.header) for column in table.columns]
    marks = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [headers, marks, *([_markdown(cell) for cell in row] for row in table.rows)]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"## {_markdown(table.title)}\n\n{_markdown(table.caption)}\n\n{body}\n"


def to_latex(table: Table) -> str:
    """Write a booktabs table with caption and label, ready to paste or to input."""
    spec = "".join(_column_type(table, index) for index in range(len(table.columns)))
    header = f"{' & '.join(latex_escape(column.header) for column in table.columns)} \\\\"
    caption = f"\\caption{{{latex_escape(table.caption)}}}"
    label = f"\\label{{tab:snnbench-{table.name.replace('_', '-')}}}"
    body = "\n".join(_latex_rows(table))
    if len(table.rows) >= LONG_TABLE_ROWS:
        lines = [
            "% needs \\usepackage{booktabs,longtable}",
            "{\\scriptsize\\setlength{\\tabcolsep}{2pt}",
            f"\\begin{{longtable}}{{{spec}}}",
            f"{caption}\n{label} \\\\",
            f"\\toprule\n{header}\n\\midrule\n\\endfirsthead",
            f"\\toprule\n{header}\n\\midrule\n\\endhead",
            "\\bottomrule\n\\endlastfoot",
            body,
            "\\end{longtable}}",
        ]
    else:
        lines = [
            "% needs \\usepackage{booktabs,graphicx}",
            "\\begin{table*}[t]\n\\centering",
            f"{caption}\n{label}",
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
            f"\\begin{{tabular}}{{{spec}}}",
            f"\\toprule\n{header}\n\\midrule",
            body,
            "\\bottomrule\n\\end{tabular}}\n\\end{table*}",
        ]
    return "\n".join(lines) + "\n"


def latex_escape(cell: str) -> str:
    r"""Write ``cell`` as LaTeX text; a number such as ``1.8e9`` becomes a power of ten.

    >>> print(latex_escape("50 %_a"), latex_escape("1.8e9"))
    50 \%\_a $1.8 \times 10^{9}$
    """
    power = _EXPONENT.match(cell)
    if power:
        return f"${power[1]} \\times 10^{{{power[2]}}}$"
    return "".join(_LATEX.get(character, character) for character in _one_line(cell))


def _column_type(table: Table, index: int) -> str:
    if table.columns[index].numeric:
        return "r"
    longest = max((len(row[index]) for row in table.rows), default=0)
    return "p{6cm}" if longest > WRAP_CHARACTERS else "l"


def _latex_rows(table: Table) -> list[str]:
    lines = []
    for index, row in enumerate(table.rows):
        if table.grouped and index and row[0]:
            lines.append("\\midrule")
        lines.append(f"{' & '.join(latex_escape(cell) for cell in row)} \\\\")
    return lines


def _markdown(cell: str) -> str:
    return markdown(_one_line(cell))


def _one_line(cell: str) -> str:
    return printable(" ".join(cell.split()))
