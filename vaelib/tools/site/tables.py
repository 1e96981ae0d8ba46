"""Tables that a phone can show and a screen reader can follow."""

import html
import re

_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])\b([^>]*)>(.*?)</\1>", re.DOTALL)


def prepare_tables(markup: str) -> str:
    """Return HTML whose tables have no empty headers, and whose cells know their column.

    On a screen too narrow for a table its rows are laid out under each other; each cell then shows the name of its
    column, which it holds as `data-label`.
    """
    return _TABLE.sub(lambda match: _prepare(match[0]), markup)


def _prepare(table: str) -> str:
    head = re.search(r"<thead\b.*?</thead>", table, re.DOTALL)
    names = [_plain(cell[3]) for cell in _CELL.finditer(head[0])] if head else []

    def label(row: re.Match) -> str:
        place = iter(range(1000))

        def cell(match: re.Match) -> str:
            column = next(place)
            tag, attributes, content = match.groups()
            if tag == "th" and not _plain(content):
                tag = "td"  # a header without a name is none
            named = names[column] if column < len(names) else ""
            inside = head is None or not head.start() <= row.start() < head.end()
            labelled = f' data-label="{html.escape(named)}"' if named and inside else ""
            return f"<{tag}{attributes}{labelled}>{content}</{tag}>"

        return _CELL.sub(cell, row[0])

    return _ROW.sub(label, table)


def _plain(markup: str) -> str:
    """The text of a header; of a formula the letters alone, for a label can hold no formula."""
    text = html.unescape(re.sub(r"<[^>]*>", "", markup))
    formula = re.compile(r"\$[^$]*\$")
    return formula.sub(lambda m: re.sub(r"[\\${}]", "", m[0].replace(r"\mid", "|")), text).strip()
