"""A text cell as HTML, its links pointed at the pages of the site."""

import html
import re
from collections.abc import Collection
from urllib.parse import unquote

import nbformat
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from vaelib.tools.links import PLACEHOLDER, REPOSITORY
from vaelib.tools.site.outputs import lines
from vaelib.tools.site.tables import prepare_tables

# A link with the separator before it; a badge is a link around an image.
_LINK = re.compile(r"(?:\s*·\s*)?\[(?:!\[[^\]]*\]\([^)]*\)|[^\]])*\]\(([^)]*)\)")
_ADDRESS = re.compile(r'\b(href|src)="([^"]*)"')


def render_text(cell: nbformat.NotebookNode, names: Collection[str]) -> tuple[str, set[str]]:
    """Render a Markdown cell.

    Args:
        cell: the cell.
        names: names of all notebooks of the course: links to them become links between pages.

    Returns:
        (HTML, file names that it uses from the folder images/).
    """
    # As long as the repository has no public address, what would open it there opens nothing.
    placeholder = PLACEHOLDER.removeprefix("https://github.com/")
    hide = REPOSITORY == PLACEHOLDER
    text = _LINK.sub(lambda m: "" if hide and placeholder in m[1] else m[0], cell.source)
    renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}))
    rendered = MarkdownWithMath(renderer=renderer).render(text)
    rendered = prepare_tables(rendered)
    rendered = rendered.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    rendered = re.sub(
        r"(<pre><code[^>]*>)(.*?)\n?(</code></pre>)", lambda m: m[1] + lines(m[2]) + m[3], rendered, flags=re.DOTALL
    )
    rendered = rendered.replace('class="anchor-link"', 'class="anchor-link" aria-label="Link to this section"')
    images: set[str] = set()

    def repoint(match: re.Match) -> str:
        address = html.unescape(match[2])
        if address.startswith("../images/"):
            images.add(unquote(address.removeprefix("../images/").partition("#")[0]))
        return f'{match[1]}="{html.escape(_on_the_site(address, names))}"'

    return _ADDRESS.sub(repoint, rendered), images


def find_sections(rendered: str) -> list[tuple[str, str]]:
    """Return (anchor, heading as HTML) of each second-level heading in rendered text."""
    return re.findall(r'<h2 id="([^"]*)">(.*?)<a class="anchor', rendered)


def _on_the_site(address: str, names: Collection[str]) -> str:
    """The address on the site of what the notebooks' folder calls `address`."""
    path, hash_, anchor = address.partition("#")
    name = path.removesuffix(".ipynb")
    if name in names and name != path:
        return f"{name}.html{hash_}{anchor}"
    if path == "../README.md":
        return "index.html"
    return address.removeprefix("../") if path.startswith("../images/") else address
