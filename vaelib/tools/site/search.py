"""What the search of the site looks through: one entry for each section of each page."""

import html
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

_HEADING = re.compile(r'<h([123]) id="([^"]*)">(.*?)</h\1>', re.DOTALL)
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
_LETTERS = {
    "mu": "μ", "sigma": "σ", "phi": "φ", "theta": "θ", "varepsilon": "ε", "epsilon": "ε", "beta": "β", "lambda": "λ",
    "rho": "ρ", "mid": "|", "|": "‖", "ge": "≥", "le": "≤", "approx": "≈", "sim": "~", "odot": "⊙", "sum": "Σ",
    "int": "∫", "cdot": "·", "times": "×", "pm": "±", "nabla": "∇", "to": "→", "infty": "∞", "sqrt": "√", "top": "ᵀ",
}  # fmt: skip
_UNREAD = re.compile(
    r'<svg\b.*?</svg>|<script\b.*?</script>|<div class="code">.*?</pre></div>|<a class="anchor-link".*?</a>', re.DOTALL
)


@dataclass(frozen=True)
class Entry:
    """One section: its address, its heading, the page's title, and what is read there."""

    id: str
    title: str
    page: str
    text: str


def entries(name: str, title: str, body: str) -> list[Entry]:
    """Return the sections of one page."""
    body = _UNREAD.sub(" ", body)
    headings = list(_HEADING.finditer(body))
    found = []
    for heading, following in itertools.zip_longest(headings, headings[1:]):
        text = body[heading.end() : following.start() if following else None]
        found.append(Entry(f"{name}.html#{heading[2]}", plain(heading[3]), title, plain(text)))
    return found


def index_script(found: Iterable[Entry]) -> str:
    """Return the entries as a script: a page opened from file:// may load that, and no other file."""
    return f"window.searchEntries = {json.dumps([asdict(entry) for entry in found], ensure_ascii=False)};\n"


def plain(markup: str) -> str:
    """Return the text of HTML, in one line; formulas lose their marks."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", markup))
    text = _FORMULA.sub(lambda match: _spoken(match[0]), text)
    return re.sub(r"\s+", " ", text).strip()


def _spoken(formula: str) -> str:
    """A formula as somebody would type it: the marks go, the letters stay."""
    formula = re.sub(r"\\(tag|label|begin|end)\{[^}]*\}|\\[,;:!>\\ ]|\\(left|right|big|Big|bigl|bigr)\b", " ", formula)
    formula = re.sub(r"\\(mathbb|mathrm|mathcal|mathbf|text|operatorname|frac|tfrac|quad|qquad)\b", " ", formula)
    for name, letter in _LETTERS.items():
        formula = re.sub(r"\\" + re.escape(name) + r"(?![a-zA-Z])", letter, formula)
    return re.sub(r"[\\${}&]", "", formula)


def slug(text: str) -> str:
    """Return a text as an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("β", "beta")).strip("-")
