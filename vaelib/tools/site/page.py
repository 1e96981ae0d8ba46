"""One notebook as the HTML of one page's content."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from vaelib.tools.folding import find_checks, is_answer, is_folded
from vaelib.tools.runner.notebooks import Notebook
from vaelib.tools.site.figures import Figures
from vaelib.tools.site.outputs import Outputs, lines
from vaelib.tools.site.search import plain
from vaelib.tools.site.sources import Source, is_stripped_widget
from vaelib.tools.site.text import find_sections, render_text
from vaelib.tools.site.widgets import PageWidgets


@dataclass
class Page:
    """The content of a page, as HTML, and what stands around it.

    Attributes:
        name: file name without suffix.
        title: the first heading.
        purpose: the sentence in bold below the title, without its asterisks.
        effort: the line in italics below that, such as "50 minutes · intermediate".
        body: the cells, as HTML.
        sections: list of (anchor, text) of the second-level headings.
        images: file names used from the folder images/.
        files: pictures of the page, content by file name.
        widgets: script with the state of the page's explorers; empty where there are none.
        first_widget: id of the first of them; None where there are none.
        has_labs: whether labs stand on it, whose code is that of the bundle.
    """

    name: str
    title: str
    purpose: str = ""
    effort: str = ""
    body: str = ""
    sections: list[tuple[str, str]] = field(default_factory=list)
    images: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    widgets: str = ""
    first_widget: str | None = None
    has_labs: bool = False

    @property
    def description(self) -> str:
        """The purpose as plain text, for the page's head."""
        return plain(re.sub(r"[*`]", "", self.purpose))


def render_page(source: Source, names: Collection[str]) -> Page:
    """Render one notebook.

    Args:
        source: a Source.
        names: names of all notebooks of the course: links to them become links between pages.
    """
    page = Page(source.notebook.name, source.notebook.title)
    outputs = Outputs(PageWidgets(source.content), Figures(page.name, page.files), page.title)
    parts = []
    checks = find_checks(source.content)  # a copy may have been executed before its notebook was marked
    for i, cell in enumerate(source.content.cells):
        if cell.cell_type == "markdown":
            text, images = render_text(cell, names)
            page.images |= images
            sections = find_sections(text)
            page.sections += sections
            outputs.section = sections[-1][1] if sections else outputs.section
            parts.append(f'<section class="text">\n{text}\n</section>')
        elif cell.cell_type == "code" and cell.source.strip():
            moves_elsewhere = source.executed is None and is_stripped_widget(cell)
            folded = "the check" if i in checks else "the code" if is_folded(cell) else None
            parts.append(_code_cell(cell, outputs.render(cell, moves_elsewhere), folded))
    page.body = "\n".join(parts)
    widgets = outputs.widgets
    page.widgets, page.first_widget, page.has_labs = widgets.as_script(), widgets.first(), widgets.has_labs
    page.purpose, page.effort = _about(source.notebook)
    return page


def _code_cell(cell: NotebookNode, outputs: str, folded: str | None) -> str:
    """A cell's code, under this title where it is folded, and what it shows."""
    code = highlight(cell.source, PythonLexer(), HtmlFormatter(cssclass="code"))
    code = re.sub(r"(<pre><span></span>)(.*)\n(</pre>)", lambda m: m[1] + lines(m[2]) + m[3], code, flags=re.DOTALL)
    shown = f'<div class="output">\n{outputs}\n</div>\n' if outputs else ""
    if is_answer(cell):
        return f'<details class="check cell"><summary>the answer, computed</summary>\n{code}{shown}</details>'
    if folded:
        code = f'<details class="check"><summary>{folded}</summary>{code}</details>'
    return f'<div class="cell">\n{code}{shown}</div>'


def _about(notebook: Notebook) -> tuple[str, str]:
    """The purpose and the effort, from the first text cell."""
    text = next((cell.source for cell in notebook.content.cells if cell.cell_type == "markdown"), "")
    purpose = re.search(r"^\*\*(.+?)\*\*$", text, re.MULTILINE)
    effort = re.search(r"^\*([^*]+)\*$", text, re.MULTILINE)
    # After time and level stands what the reader should know, too long for a table.
    return purpose[1] if purpose else "", " · ".join(effort[1].split(" · ")[:2]) if effort else ""
