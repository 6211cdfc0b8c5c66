"""Text of unknown origin made safe for a terminal, Markdown, XML and spreadsheets."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ZERO_WIDTH_SPACE = "\u200b"


def printable(text: str) -> str:
    r"""Put ``text`` on one line, with control and unassigned characters as visible escapes.

    >>> printable("conv\x1b[31m\n1")
    'conv\\x1b[31m\\x0a1'
    """
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def markdown(text: str) -> str:
    r"""Make ``text`` plain in GitHub Markdown: no markup, no HTML, no link, nobody mentioned.

    >>> markdown("lif_1|<b>")
    'lif\\_1\\|&lt;b&gt;'
    """
    escaped = _MARKDOWN.sub(r"\\\1", printable(text)).translate(_ENTITIES)
    unlinked = escaped.replace("://", f":{_ZERO_WIDTH_SPACE}//")
    return unlinked.replace("www.", f"www{_ZERO_WIDTH_SPACE}.").replace(
        "@", f"@{_ZERO_WIDTH_SPACE}"
    )


def cell(text: str) -> str:
    """Make ``text`` a cell of a csv file: one line, and no formula to any spreadsheet.

    >>> cell("=1+1"), cell("conv1"), cell("-")
    ("'=1+1", 'conv1', '-')
    """
    line = printable(text)
    return f"'{line}" if len(line) > 1 and line[0] in "=+-@" else line


def _escape(character: str) -> str:
    code = ord(character)
    width, letter = (2, "x") if code < 0x100 else (4, "u") if code < 0x10000 else (8, "U")
    return f"\\{letter}{code:0{width}x}"
