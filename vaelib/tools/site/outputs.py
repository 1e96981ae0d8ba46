"""The outputs of a code cell as HTML."""

import base64
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbconvert.filters import ansi2html

from vaelib.mime import CLAIM_MIME, DATA_MIME, FIGURE_MIME, LAB_MIME
from vaelib.tools.runner.evidence import claims_of
from vaelib.tools.site.dark import both_themes
from vaelib.tools.site.figures import Figures
from vaelib.tools.site.tables import prepare_tables
from vaelib.tools.site.widgets import VIEW_MIME, PageWidgets

SLIDERS = "What this cell shows moves in JupyterLab, where Python runs. Here the next figure stands for it."
_MOVES_IN_JUPYTERLAB = "This explorer moves in JupyterLab: its decoder needs Python. Here is its first picture."
_NEEDS_JAVASCRIPT = "An explorer stands here. It needs JavaScript."
_STILL_LAB = "This is a still picture of a lab: it moves where JavaScript runs."
MANY = 12  # figures of the report that stand open
# The table of claims at a lesson's end, as `vaelib.summary` writes it now and as it did earlier.
_SUMMARY = re.compile(r'class="vaelib-summary"|<caption>\d+ claims? made')


@dataclass
class Outputs:
    """Renders the outputs of one page, cell by cell.

    Attributes:
        widgets: those of the page.
        figures: the page's pictures.
        section: heading of the section that the next cell stands in, as HTML.
        claims: the claims so far, as list items, by section.
    """

    widgets: PageWidgets
    figures: Figures
    section: str = ""
    claims: dict[str, list[str]] = field(default_factory=dict)

    def render(self, cell: nbformat.NotebookNode, moves_elsewhere: bool = False) -> str:
        """Render a cell's outputs.

        Args:
            cell: a code cell.
            moves_elsewhere: whether it made a widget that only a kernel can show: a line says so.

        Returns:
            HTML; empty where nothing is shown. All claims of the cell fold into one line.
        """
        parts: list[str] = []
        claims: list[str] = []
        records: list[str] = []
        place = None  # of the claims: where the first one stands

        def flush() -> None:
            if records:
                parts.append(_records(records))
                records.clear()

        for output in cell.outputs:
            data = output.get("data", {})
            if CLAIM_MIME in data:
                if place is None:
                    flush()
                    place = len(parts)
                claims += _claims(data)
            elif FIGURE_MIME in data:
                records.append(_record(data))
            elif shown := self._output(output):
                flush()
                parts.append(shown)
        flush()
        if moves_elsewhere:
            parts.append(f'<p class="note">{SLIDERS}</p>')
        if place is not None:
            self.claims.setdefault(self.section, []).extend(claims)
            parts.insert(place, _chip(claims))
        return "\n".join(parts)

    def _output(self, output: nbformat.NotebookNode) -> str:
        if output.output_type == "stream":
            return _text(output.text)
        if output.output_type == "error":
            return _text("\n".join(output.traceback))
        data, metadata = output.get("data", {}), output.get("metadata", {})
        # A lab holds all that it needs in its own output; an executed copy has its widget's state beside that.
        if LAB_MIME in data:
            return self._lab(data, metadata.get("image/png", {}))
        if VIEW_MIME in data:
            return self._widget(data[VIEW_MIME]["model_id"])
        if metadata.get("vaelib") == "caption":  # it stands in the metadata of its figure too
            return ""
        if _SUMMARY.search(data.get("text/html", "")):
            return self._summary()
        for mime, render in self._renderers():
            if data.get(mime):
                return render(data[mime], data.get("text/plain", ""), metadata.get(mime, {}))
        return ""

    def _renderers(self) -> tuple[tuple[str, Callable[[Any, str, dict[str, Any]], str]], ...]:
        """The richest copy that an output has is shown: how (content, its plain text, its metadata) becomes HTML."""
        return (
            (DATA_MIME, lambda content, plain, about: f'<p class="source">{html.escape(plain)}</p>'),
            ("text/html", lambda content, plain, about: f'<div class="wide">{prepare_tables(content)}</div>'),
            ("image/svg+xml", lambda content, plain, about: f'<div class="wide">{both_themes(content)}</div>'),
            ("image/png", lambda content, plain, about: self.figures.render(content, about)),
            ("image/jpeg", lambda content, plain, about: self.figures.render(content, about, "jpg")),
            ("text/plain", lambda content, plain, about: _text(content)),
        )

    def _summary(self) -> str:
        """The page's claims, by section, in place of one long table."""
        count = sum(map(len, self.claims.values()))
        failed = sum(item.startswith('<li class="failed"') for items in self.claims.values() for item in items)
        head = f"{count} claim{'' if count == 1 else 's'} made, {count - failed} held"
        sections = "".join(_chip(items, section) for section, items in self.claims.items())
        return f'<div class="summary"><p>{head}</p>{sections}</div>'

    def _lab(self, data: dict[str, Any], about: dict[str, Any]) -> str:
        """A lab's place, with the picture that stands there until it is alive; without JavaScript it stays."""
        state = json.dumps(data[LAB_MIME], ensure_ascii=False).replace("<", "\\u003c")  # the text may hold </script>
        still = ""
        if "image/png" in data:
            still = self.figures.image(data["image/png"], about.get("alt") or _STILL_LAB, about)
        return (
            f'<div class="explorer" id="{self.widgets.next_place(lab=True)}">{still}<p class="note">{_STILL_LAB}</p>'
            f'<script type="application/json" class="lab-state">{state}</script></div>'
        )

    def _widget(self, model_id: str) -> str:
        parts = []
        for explorer in self.widgets.explorers(model_id):
            place = self.widgets.next_place()
            if still := self.widgets.still(explorer):
                png, alt = still
                picture = self.figures.image(base64.b64encode(png).decode(), alt, {})
                note = f'<p class="note">{_MOVES_IN_JUPYTERLAB}</p>'
                parts.append(f'<div class="explorer" id="{place}">{picture}{note}</div>')
            else:
                mounted = html.escape(self.widgets.mount(explorer))
                note = f'<p class="note">{_NEEDS_JAVASCRIPT}</p>'
                parts.append(f'<div class="explorer" id="{place}" data-model="{mounted}">{note}</div>')
        return "\n".join(parts) or f'<p class="note">{SLIDERS}</p>'


def _text(text: str) -> str:
    return f'<pre class="lines">{lines(ansi2html(text.rstrip()))}</pre>'


def lines(text: str) -> str:
    """Put each line of a text in HTML into an element of its own: a long one may go on below, and hangs."""

    def line(content: str) -> str:
        start = re.sub(r"^(<[^>]*>)*", "", content)
        indent = len(start) - len(start.lstrip(" "))
        style = f' style="--in: {indent}"' if indent else ""
        return f'<span class="l"{style}>{content}\n</span>'

    return "".join(map(line, text.split("\n")))


def _claims(data: dict[str, Any]) -> list[str]:
    """The claims of one output as list items."""
    claims = claims_of(data)
    shown = data.get("text/plain", "").splitlines() if len(claims) > 1 else [data.get("text/plain", "")]
    items = []
    for claim, line in zip(claims, [*shown, *[""] * len(claims)], strict=False):
        mark, held = ("✓", "held") if claim["passed"] else ("✗", "failed")
        # The reader's line is the mark, the claim and then the numbers behind it.
        detail = claim.get("detail", line.removeprefix(f"{mark} {claim['text']}").strip())
        items.append(
            f'<li class="{held}"><span class="mark">{mark}</span> <span>{html.escape(claim["text"])}</span> '
            f'<span class="detail">{html.escape(detail)}</span></li>'
        )
    return items


def _chip(items: list[str], heading: str = "") -> str:
    """Claims folded into one line; those that failed stand below it, open. A single one is a line by itself."""
    failed = [item for item in items if item.startswith('<li class="failed"')]
    if len(items) == 1 and not heading:
        return f'<ul class="claims">{items[0]}</ul>'
    mark, held = ("✗", "failed") if failed else ("✓", "held")
    count = f"{len(items) - len(failed)} of {len(items)} hold"
    label = f'{heading} <span class="count">{count}</span>' if heading else count
    chip = (
        f'<details class="claims-chip {held}"><summary><span class="mark">{mark}</span> {label}</summary>'
        f'<ul class="claims">{"".join(items)}</ul></details>'
    )
    return chip + (f'<ul class="claims">{"".join(failed)}</ul>' if failed and not heading else "")


def _records(records: list[str]) -> str:
    """Figures for the report; a long list folds."""
    listed = f'<dl class="figures">{"".join(records)}</dl>'
    if len(records) <= MANY:
        return listed
    return f"<details><summary>{len(records)} figures for the course report</summary>{listed}</details>"


def _record(data: dict[str, Any]) -> str:
    # The reader's line holds the value as it is to be read, rounded and with its unit.
    name = data[FIGURE_MIME]["name"]
    value = data.get("text/plain", "").removeprefix(f"{name}:").strip()
    return f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
