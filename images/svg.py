"""Drawing primitives for the diagrams of the course: shapes, arrows and mathematical labels, written as plain SVG.

Colours and fonts are attributes of each element. There is no style sheet and, but for the title, no id: a picture can
stand inside a page beside others without changing them.
"""

import re
from xml.sax.saxutils import escape

from vaelib.teaching.palette import COLOURS

# One meaning each, in every picture: encoder, decoder, code z, gradient; noise, prior and KL.
BLUE, ORANGE, GREEN, VERMILLION = (COLOURS[name] for name in ("blue", "orange", "green", "vermillion"))
SKY, PURPLE, YELLOW, BLACK = (COLOURS[name] for name in ("sky", "purple", "yellow", "black"))
INK, SLATE, GREY, WHITE = "#222B36", "#56616D", "#9AA5B1", "#FFFFFF"  # text, quiet text, lines

SANS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
SERIF = "'STIX Two Text', Cambria, 'Times New Roman', 'Liberation Serif', 'DejaVu Serif', serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def mix(colour, other, share):
    """Return `colour` with `share` (0 to 1) of `other` mixed in."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{int(a + (b - a) * share + 0.5):02X}" for a, b in pairs)


def tint(colour, share=0.84):
    """Return a soft fill: the colour on white paper."""
    return mix(colour, WHITE, share)


def dark(colour, share=0.4):
    """Return the colour dark enough to be read as text on white."""
    return mix(colour, INK, share)


def number(value):
    """Write a number with at most two decimals: the same characters on every machine."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def spans(label, size):
    """Turn a label into tspans. `$...$` is mathematics, with _{} and ^{}; a pair of backticks encloses code."""
    out, shift = [], 0.0

    def add(text, family, scale=1.0, italic=False, rise=0.0):
        nonlocal shift
        attributes = f' font-family="{family}"' if family != SANS else ""
        attributes += f' font-size="{number(size * scale)}"'
        attributes += ' font-style="italic"' if italic else ""
        attributes += f' dy="{number(rise - shift)}"' if rise != shift else ""
        shift = rise
        out.append(f"<tspan{attributes}>{escape(text)}</tspan>")

    def mathematics(text, scale=1.12, rise=0.0):
        for mark, braced, single, word, letter, rest in re.findall(
            r"([_^])(?:\{([^}]*)\}|(.))|([A-Za-z]{2,})|([A-Za-zα-ωϕ])|([^A-Za-zα-ωϕ_^]+)", text
        ):
            if mark:
                mathematics(braced or single, scale * 0.72, (0.24 if mark == "_" else -0.38) * size)
            else:
                add(word or letter or rest, SERIF, scale, italic=bool(letter), rise=rise)

    for part in re.findall(r"\$[^$]*\$|`[^`]*`|[^$`]+", label):
        if part[0] == "$":
            mathematics(part[1:-1])
        elif part[0] == "`":
            add(part[1:-1], MONO, 0.94)
        else:
            add(part, SANS)
    return "".join(out)


class Picture:
    """An SVG picture on a white rounded page, with a title and a description for screen readers."""

    def __init__(self, name, title, description, width=800, height=400):
        self.name, self.title, self.description = name, title, description
        self.width, self.height = width, height
        self.body = []

    def element(self, tag, **attributes):
        pairs = "".join(
            f' {key.rstrip("_").replace("_", "-")}="{number(value) if isinstance(value, (int, float)) else value}"'
            for key, value in attributes.items()
            if value is not None
        )
        self.body.append(f"<{tag}{pairs}/>")

    def text(self, x, y, label, size=16, colour=INK, anchor="middle", bold=False):
        """Write one line with its baseline at y."""
        weight = ' font-weight="600"' if bold else ""
        self.body.append(
            f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" fill="{colour}"{weight}>'
            f"{spans(label, size)}</text>"
        )

    def lines(self, x, y, labels, size=16, colour=INK, anchor="middle", gap=1.35):
        """Write lines centred on y; the first is bold when it starts with an asterisk."""
        top = y + size * 0.35 - (len(labels) - 1) * gap * size / 2
        for i, label in enumerate(labels):
            bold = label.startswith("*")
            self.text(x, top + i * gap * size, label.removeprefix("*"), size, colour, anchor, bold)

    def path(self, commands, stroke=INK, width=2, fill="none", dash=None, at=None, **attributes):
        """Draw a path from commands (a string, or strings and numbers), moved to the point `at`."""
        commands = commands.split() if isinstance(commands, str) else commands
        if at:
            attributes["transform"] = f"translate({number(at[0])} {number(at[1])})"
        text = " ".join(number(c) if isinstance(c, (int, float)) else c for c in commands)
        joins = {"stroke_linecap": "round", "stroke_linejoin": "round"} if stroke != "none" else {}
        self.element(
            "path", d=text, fill=fill, stroke=stroke, stroke_width=width, stroke_dasharray=dash, **joins, **attributes
        )

    def curve(self, points, **style):
        """Draw a line through many points."""
        self.path(["M", *points[0], "L", *[c for p in points[1:] for c in p]], **style)

    def arrow(self, start, end, colour=INK, width=2, bend=0.0, dash=None):
        """Draw an arrow; `bend` moves its middle sideways (to the left of its direction when positive)."""
        (x0, y0), (x1, y1) = start, end
        dx, dy = x1 - x0, y1 - y0
        length = (dx * dx + dy * dy) ** 0.5
        cx, cy = (x0 + x1) / 2 + 2 * bend * dy / length, (y0 + y1) / 2 - 2 * bend * dx / length
        ux, uy = x1 - cx, y1 - cy
        norm = (ux * ux + uy * uy) ** 0.5
        ux, uy, head = ux / norm, uy / norm, 5 + 3 * width
        tail = (x1 - ux * head * 0.8, y1 - uy * head * 0.8)
        line = ["M", x0, y0, "Q", cx, cy, *tail] if bend else ["M", x0, y0, "L", *tail]
        self.path(line, stroke=colour, width=width, dash=dash, class_="arrow")
        bx, by, half = x1 - ux * head, y1 - uy * head, head * 0.42
        corners = [bx - uy * half, by + ux * half, "L", *tail, "L", bx + uy * half, by - ux * half]
        self.path(["M", x1, y1, "L", *corners, "Z"], stroke="none", width=None, fill=colour)

    def rect(self, x, y, w, h, fill=WHITE, stroke=None, width=2, radius=10, dash=None):
        self.element(
            "rect", x=x, y=y, width=w, height=h, rx=radius, fill=fill, stroke=stroke,
            stroke_width=width if stroke else None, stroke_dasharray=dash,
        )  # fmt: skip

    def box(self, cx, cy, w, h, colour, labels=(), size=16, text=INK, radius=10):
        """Draw a deterministic node: a soft rounded box with centred lines."""
        self.rect(cx - w / 2, cy - h / 2, w, h, tint(colour), colour, radius=radius)
        self.lines(cx, cy, labels, size, text)

    def circle(self, cx, cy, r, colour, label=None, size=20, fill=None):
        """Draw a random node: a circle."""
        self.element("circle", cx=cx, cy=cy, r=r, fill=fill or tint(colour), stroke=colour, stroke_width=2)
        if label:
            self.lines(cx, cy, [label], size)

    def dot(self, cx, cy, r, fill, stroke=None):
        self.element("circle", cx=cx, cy=cy, r=r, fill=fill, stroke=stroke, stroke_width=1.5 if stroke else None)

    def polygon(self, points, colour, width=2):
        self.path(
            ["M", *points[0], *[c for p in points[1:] for c in ("L", *p)], "Z"],
            stroke=colour, width=width, fill=tint(colour),
        )  # fmt: skip

    def pixels(self, x, y, side, image):
        """Draw a square grey image (rows of values from 0, black, to 1, white) on a dark rounded ground."""
        cell = side / len(image)
        self.rect(x - 3, y - 3, side + 6, side + 6, "#000000", radius=5)
        for i, row in enumerate(image):
            for j, value in enumerate(row):
                if grey := int(min(value, 1.0) * 15 + 0.5):
                    self.path(
                        ["M", x + j * cell, y + i * cell, "h", cell, "v", cell, "h", -cell, "z"],
                        stroke="none", width=None, fill="#" + 3 * f"{grey:X}", shape_rendering="crispEdges",
                    )  # fmt: skip

    def __str__(self):
        key = self.name.replace("_", "-")
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img" aria-labelledby="{key}-title {key}-desc" '
            f'font-family="{SANS}">\n'
            f'<title id="{key}-title">{escape(self.title)}</title>\n'
            f'<desc id="{key}-desc">{escape(self.description)}</desc>\n'
            f'<rect width="{self.width}" height="{self.height}" rx="14" fill="{WHITE}"/>\n'
        )
        return head + "\n".join(self.body) + "\n</svg>\n"
