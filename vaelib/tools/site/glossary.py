"""The words of the course: what each means, and a link from its first use on each page."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from vaelib.tools.site.search import slug

WORDS = Path(__file__).parent / "templates" / "glossary.toml"
# Where a word stays as it is: a link would stand within a link, a heading or code.
_CLOSED = ("a", "code", "pre", "h1", "h2", "h3", "h4", "summary", "svg", "script", "button", "th")
_PIECES = re.compile(r"(<[^>]+>|\$\$.*?\$\$|\$[^$]*\$)", re.DOTALL)


@dataclass
class Term:
    """One word.

    Attributes:
        name: the word.
        text: what it means.
        also: other forms of it.
        used: pages that use it, in the order of the course, each with the anchor of the section.
    """

    name: str
    text: str
    also: tuple[str, ...] = ()
    used: list[str] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Its place on the glossary's page."""
        return slug(self.name)


def read_glossary(path: Path = WORDS) -> list[Term]:
    """Return the terms, sorted by name."""
    terms = tomllib.loads(path.read_text("utf-8"))["term"]
    return sorted((Term(t["name"], t["text"], tuple(t.get("also", ()))) for t in terms), key=lambda t: t.name.lower())


def link_first_uses(markup: str, terms: list[Term], page: str) -> str:
    """Link the first use of each term on a page to its meaning.

    Args:
        markup: HTML of the page's text cells and of what stands between them; only text cells are searched.
        terms: those of the glossary; the page is noted in each that it uses.
        page: name of the page.
    """
    forms = {form.lower(): term for term in terms for form in (term.name, *term.also)}
    words = re.compile(r"\b(" + "|".join(map(re.escape, sorted(forms, key=len, reverse=True))) + r")\b", re.IGNORECASE)
    done: set[str] = set()

    def link(match: re.Match) -> str:
        term = forms[match[0].lower()]
        # NELBO is a word, "kl" in small letters is not; a word of lower-case letters may begin a sentence.
        written = next(form for form in (term.name, *term.also) if form.lower() == match[0].lower())
        if term.name in done or (written not in (match[0], match[0][:1].lower() + match[0][1:])):
            return match[0]
        done.add(term.name)
        term.used.append(page)
        return f'<a class="term" href="glossary.html#{term.anchor}">{match[0]}</a>'

    def section(match: re.Match) -> str:
        pieces, closed = [], 0
        for piece in _PIECES.split(match[0]):
            tag = re.match(r"<(/?)(\w+)", piece)
            if tag and tag[2] in _CLOSED and not piece.endswith("/>"):
                closed += -1 if tag[1] else 1
            plain = not closed and not piece.startswith(("<", "$"))
            pieces.append(words.sub(link, piece) if plain else piece)
        return "".join(pieces)

    return re.sub(r'<section class="text">.*?</section>', section, markup, flags=re.DOTALL)
