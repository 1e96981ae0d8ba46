"""The outputs of a code cell as HTML."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import nbformat
from nbconvert.filters import ansi2html

from vaelib.mime import CLAIM_MIME, DATA_MIME, FIGURE_MIME, LAB_MIME
from vaelib.tools.site.widgets import VIEW_MIME, PageWidgets

SLIDERS = "What this cell shows moves in JupyterLab, where Python runs. Here the next figure stands for it."
_MOVES_IN_JUPYTERLAB = "This explorer moves in JupyterLab: its decoder needs Python. Here is its first picture."
_NEEDS_JAVASCRIPT = "An explorer stands here. It needs JavaScript."
_STILL_LAB = "This is a still picture of a lab: it moves where JavaScript runs."

Part = tuple[str, str]  # kind of an output, and its HTML


def render_output(output: nbformat.NotebookNode, widgets: PageWidgets) -> Part | None:
    """Render one output.

    Args:
        output: as the notebook keeps it.
        widgets: those of the page; the ones that this output shows are put on it.

    Returns:
        (kind, HTML); None for what is not shown.
    """
    if output.output_type == "stream":
        return "text", _text(output.text)
    if output.output_type == "error":
        return "text", _text("\n".join(output.traceback))
    data = output.get("data", {})
    # A lab holds all that it needs in its own output; an executed copy has its widget's state beside that.
    if LAB_MIME in data:
        return "widget", _lab(output, widgets)
    if VIEW_MIME in data:
        return "widget", _widget(data[VIEW_MIME]["model_id"], widgets)
    for mime, kind, render in _RENDERERS:
        if data.get(mime):
            return kind, render(data[mime], data.get("text/plain", ""), output.get("metadata", {}).get(mime, {}))
    return None


def sliders_note() -> Part:
    """Return what stands in the place of a widget that only a kernel can move."""
    return "widget", f'<p class="note">{SLIDERS}</p>'


def group(parts: Iterable[Part]) -> str:
    """Put neighbouring claims into one list, and neighbouring figures of the report into another."""
    grouped: list[tuple[str, list[str]]] = []
    for kind, part in parts:
        if grouped and kind in ("claim", "figure") and grouped[-1][0] == kind:
            grouped[-1][1].append(part)
        else:
            grouped.append((kind, [part]))
    wrap = {"claim": '<ul class="claims" aria-label="Claims">{}</ul>', "figure": '<dl class="figures">{}</dl>'}
    return "\n".join(wrap.get(kind, "{}").replace("{}", "".join(pieces)) for kind, pieces in grouped)


def number_figures(shown: str, figures: int) -> tuple[str, int]:
    """Number the figures that have no description of their own.

    Args:
        shown: outputs as HTML.
        figures: how many the page has numbered so far.

    Returns:
        (HTML, how many it has numbered now).
    """
    pieces = re.split(r'(?<= alt="Figure )\{number\}', shown)
    text = pieces[0]
    for piece in pieces[1:]:
        figures += 1
        text += f"{figures}{piece}"
    return text, figures


def _text(text: str) -> str:
    return f'<pre tabindex="0" aria-label="Output">{ansi2html(text.rstrip())}</pre>'


def _claim(claim: dict[str, Any], plain: str, about: dict[str, Any]) -> str:
    mark, held = ("✓", "held") if claim["passed"] else ("✗", "failed")
    # The reader's line is the mark, the claim and then the numbers behind it.
    detail = plain.removeprefix(f"{mark} {claim['text']}").strip()
    return (
        f'<li class="{held}"><span class="mark">{mark}</span> <span>{html.escape(claim["text"])}</span> '
        f'<span class="detail">{html.escape(detail)}</span></li>'
    )


def _figure(figure: dict[str, Any], plain: str, about: dict[str, Any]) -> str:
    # The reader's line holds the value as it is to be read, rounded and with its unit.
    value = plain.removeprefix(f"{figure['name']}:").strip()
    return f"<dt>{html.escape(figure['name'])}</dt><dd>{html.escape(value)}</dd>"


def _source(source: dict[str, Any], plain: str, about: dict[str, Any]) -> str:
    return f'<p class="source">{html.escape(plain)}</p>'


def _wide(markup: str, plain: str, about: dict[str, Any]) -> str:
    return f'<div class="wide">{markup}</div>'


def _picture(mime: str) -> Callable[[str, str, dict[str, Any]], str]:
    def render(picture: str, plain: str, about: dict[str, Any]) -> str:
        return _image(f"data:{mime};base64,{picture.strip()}", about.get("alt"), about.get("width"))

    return render


def _image(address: str, alt: str | None, width: float | str | None = None) -> str:
    # Without a description of its own the figure gets its number, which `number_figures` fills in.
    alt = html.escape(alt) if alt else "Figure {number}, drawn by the code above; the text below reads it."
    size = f' width="{int(width)}"' if width else ""
    return f'<img src="{address}" alt="{alt}"{size}>'


def _lab(output: nbformat.NotebookNode, widgets: PageWidgets) -> str:
    """A lab's place, with the picture that stands there until it is alive; without JavaScript it stays."""
    data, about = output.data, output.get("metadata", {}).get("image/png", {})
    state = json.dumps(data[LAB_MIME], ensure_ascii=False).replace("<", "\\u003c")  # the text may hold </script>
    still = _image(f"data:image/png;base64,{data['image/png'].strip()}", about.get("alt")) if "image/png" in data else ""
    return (
        f'<div class="explorer" id="{widgets.next_place(lab=True)}">{still}<p class="note">{_STILL_LAB}</p>'
        f'<script type="application/json" class="lab-state">{state}</script></div>'
    )


def _widget(model_id: str, widgets: PageWidgets) -> str:
    parts = []
    for explorer in widgets.explorers(model_id):
        if still := widgets.still(explorer):
            png, alt = still
            picture = _image(f"data:image/png;base64,{base64.b64encode(png).decode()}", alt)
            place = widgets.next_place()
            note = f'<p class="note">{_MOVES_IN_JUPYTERLAB}</p>'
            parts.append(f'<div class="explorer" id="{place}">{picture}{note}</div>')
        else:
            mounted = html.escape(widgets.mount(explorer))
            note = f'<p class="note">{_NEEDS_JAVASCRIPT}</p>'
            parts.append(f'<div class="explorer" id="{widgets.next_place()}" data-model="{mounted}">{note}</div>')
    return "\n".join(parts) or sliders_note()[1]


# The richest copy that an output has is shown: what it is, its kind, and how (content, its plain text, its metadata)
# becomes HTML.
_RENDERERS: tuple[tuple[str, str, Callable[[Any, str, dict[str, Any]], str]], ...] = (
    (CLAIM_MIME, "claim", _claim),
    (FIGURE_MIME, "figure", _figure),
    (DATA_MIME, "data", _source),
    ("text/html", "html", _wide),
    ("image/svg+xml", "html", _wide),
    ("image/png", "image", _picture("image/png")),
    ("image/jpeg", "image", _picture("image/jpeg")),
    ("text/plain", "text", lambda text, plain, about: _text(text)),
)
