"""A table that a lesson shows: laid out on a page, aligned in a terminal."""

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows under a head; in a notebook it is the value of a cell, or goes to `display`.

    Attributes:
        head: names of the columns.
        rows: one list of texts per row, as many as the head has; the first names the row.
    """

    head: list[str]
    rows: list[list[str]]

    def __post_init__(self):
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"each row must have {len(self.head)} texts; received {[len(row) for row in self.rows]}.")

    def __repr__(self):
        widths = [max(len(row[i]) for row in [self.head, *self.rows]) for i in range(len(self.head))]
        lines = (
            "  ".join(text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in [self.head, *self.rows])
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self):
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.head)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(text)}</td>" for text in row[1:])
            + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
