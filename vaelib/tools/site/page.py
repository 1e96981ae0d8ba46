"""One notebook as the HTML of one page's content."""

import base64
import html
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from vaelib.mime import CLAIM_MIME, DATA_MIME, FIGURE_MIME
from vaelib.tools.links import REPOSITORY
from vaelib.tools.site.sources import is_stripped_widget
from vaelib.tools.site.widgets import VIEW_MIME, PageWidgets

SLIDERS = "What this cell shows moves in JupyterLab, where Python runs. Here the next figure stands for it."
# A link with the separator before it; a badge is a link around an image.
_LINK = re.compile(r"(?:\s*·\s*)?\[(?:!\[[^\]]*\]\([^)]*\)|[^\]])*\]\(([^)]*)\)")


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
        widgets: JSON with the state of the page's explorers; empty where there are none.
    """

    name: str
    title: str
    purpose: str = ""
    effort: str = ""
    body: str = ""
    sections: list = field(default_factory=list)
    images: set = field(default_factory=set)
    widgets: str = ""


def render_page(source, names):
    """Render one notebook.

    Args:
        source: a Source.
        names: names of all notebooks of the course: links to them become links between pages.

    Returns:
        Page.
    """
    page = Page(source.notebook.name, source.notebook.title)
    widgets, figures = PageWidgets(source.content), 0
    parts = []
    for cell in source.content.cells:
        if cell.cell_type == "markdown":
            parts.append(f'<section class="text">\n{_markdown(cell, page, names)}\n</section>')
        elif cell.cell_type == "code" and cell.source.strip():
            shown = [part for output in cell.outputs if (part := _output(output, widgets))]
            if source.executed is None and is_stripped_widget(cell):
                shown.append(("widget", f'<p class="note">{SLIDERS}</p>'))
            shown, figures = _numbered(_grouped(shown), figures)
            code = highlight(cell.source, PythonLexer(), HtmlFormatter(cssclass="code"))
            code = code.replace("<pre>", '<pre tabindex="0" aria-label="Python code">', 1)
            outputs = f'<div class="output">\n{shown}\n</div>\n' if shown else ""
            parts.append(f'<div class="cell">\n{code}{outputs}</div>')
    page.body = "\n".join(parts)
    page.widgets = widgets.as_json()
    page.purpose, page.effort = _about(source.notebook)
    return page


def _about(notebook):
    text = next((cell.source for cell in notebook.content.cells if cell.cell_type == "markdown"), "")
    purpose = re.search(r"^\*\*(.+?)\*\*$", text, re.MULTILINE)
    effort = re.search(r"^\*([^*]+)\*$", text, re.MULTILINE)
    # After time and level stands what the reader should know, too long for a table.
    return purpose[1] if purpose else "", " · ".join(effort[1].split(" · ")[:2]) if effort else ""


def _markdown(cell, page, names):
    # As long as the repository has no public address, what would open it there opens nothing.
    placeholder = REPOSITORY.removeprefix("https://github.com/")
    hide = REPOSITORY.endswith("OWNER/REPOSITORY")
    text = _LINK.sub(lambda m: "" if hide and placeholder in m[1] else m[0], cell.source)
    renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}))
    rendered = MarkdownWithMath(renderer=renderer).render(text)
    rendered = rendered.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    rendered = rendered.replace('class="anchor-link"', 'class="anchor-link" aria-label="Link to this section"')
    for anchor, heading in re.findall(r'<h2 id="([^"]*)">(.*?)<a class="anchor', rendered):
        page.sections.append((anchor, heading))

    def repoint(match):
        attribute, address = match[1], html.unescape(match[2])
        path, hash_, anchor = address.partition("#")
        if (name := path.removesuffix(".ipynb")) in names and name != path:
            address = f"{name}.html{hash_}{anchor}"
        elif path.startswith("../images/"):
            page.images.add(unquote(path.removeprefix("../images/")))
            address = path.removeprefix("../")
        elif path == "../README.md":
            address = "index.html"
        return f'{attribute}="{html.escape(address)}"'

    return re.sub(r'\b(href|src)="([^"]*)"', repoint, rendered)


def _output(output, widgets):
    """Return (kind, HTML) of one output; None for what is not shown."""
    if output.output_type == "stream":
        return "text", _text(output.text)
    if output.output_type == "error":
        return "text", _text("\n".join(output.traceback))
    data = output.get("data", {})
    if VIEW_MIME in data:
        return "widget", _widget(data[VIEW_MIME]["model_id"], widgets)
    plain = data.get("text/plain", "")
    if CLAIM_MIME in data:
        mark, _, rest = plain.partition(" ")
        claim, _, detail = rest.partition("   ")
        held = "held" if data[CLAIM_MIME]["passed"] else "failed"
        return "claim", (
            f'<li class="{held}"><span class="mark">{html.escape(mark)}</span> <span>{html.escape(claim)}</span> '
            f'<span class="detail">{html.escape(detail.strip())}</span></li>'
        )
    if FIGURE_MIME in data:
        name, _, value = plain.rpartition(": ")
        return "figure", f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
    if DATA_MIME in data:
        return "data", f'<p class="source">{html.escape(plain)}</p>'
    if "text/html" in data:
        return "html", f'<div class="wide">{data["text/html"]}</div>'
    if "image/svg+xml" in data:
        return "html", f'<div class="wide">{data["image/svg+xml"]}</div>'
    for mime in ("image/png", "image/jpeg"):
        if mime in data:
            about = output.get("metadata", {}).get(mime, {})
            return "image", _image(f"data:{mime};base64,{data[mime].strip()}", about.get("alt"), about.get("width"))
    return ("text", _text(plain)) if plain else None


def _text(text):
    return f'<pre tabindex="0" aria-label="Output">{ansi2html(text.rstrip())}</pre>'


def _image(address, alt, width=None):
    # Without a description of its own the figure gets its number, which `_numbered` fills in.
    alt = html.escape(alt) if alt else "Figure {number}, drawn by the code above; the text below reads it."
    width = f' width="{int(width)}"' if width else ""
    return f'<img src="{address}" alt="{alt}"{width}>'


def _widget(model_id, widgets):
    parts = []
    for explorer in widgets.explorers(model_id):
        if still := widgets.still(explorer):
            png, alt = still
            picture = _image(f"data:image/png;base64,{base64.b64encode(png).decode()}", alt)
            note = "This explorer moves in JupyterLab: its decoder needs Python. Here is its first picture."
            parts.append(f'<div class="explorer">{picture}<p class="note">{note}</p></div>')
        else:
            note = "An explorer stands here. It needs JavaScript."
            mounted = html.escape(widgets.mount(explorer))
            parts.append(f'<div class="explorer" data-model="{mounted}"><p class="note">{note}</p></div>')
    return "\n".join(parts) or f'<p class="note">{SLIDERS}</p>'


def _grouped(parts):
    """Put neighbouring claims into one list, and neighbouring figures of the report into another."""
    grouped = []
    for kind, part in parts:
        if grouped and kind in ("claim", "figure") and grouped[-1][0] == kind:
            grouped[-1][1].append(part)
        else:
            grouped.append((kind, [part]))
    wrap = {"claim": '<ul class="claims" aria-label="Claims">{}</ul>', "figure": '<dl class="figures">{}</dl>'}
    return "\n".join(wrap.get(kind, "{}").replace("{}", "".join(group)) for kind, group in grouped)


def _numbered(shown, figures):
    """Number the figures that have no description of their own; return the HTML and the count."""
    pieces = re.split(r'(?<= alt="Figure )\{number\}', shown)
    text = pieces[0]
    for piece in pieces[1:]:
        figures += 1
        text += f"{figures}{piece}"
    return text, figures
