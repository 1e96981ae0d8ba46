"""A picture of a notebook as a figure of a page: its file, its width, its caption, its twin for dark pages."""

import base64
import binascii
import html
import io
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from vaelib.tools.site.dark import darken

NO_ALT = "Drawn by the code above; the text below reads it."
TEXT_WIDTH = 7.0  # inches of a figure that are as wide as the page's text
OLD_DPI = 80  # of a picture that does not say how wide it is
LARGE, NEARLY = 50_000, 0.75  # bytes; a copy with loss must save a quarter of them


@dataclass
class Figures:
    """The pictures of one page.

    Attributes:
        page: name of the page, with which the names of its files begin.
        files: content of each picture, by file name.
        number: how many figures the page has so far.
    """

    page: str
    files: dict[str, bytes] = field(default_factory=dict)
    number: int = 0

    def render(self, picture: str, about: dict[str, Any], suffix: str = "png") -> str:
        """Return a numbered <figure>.

        Args:
            picture: base64.
            about: the picture's metadata: `alt`, `caption`, `width` (CSS pixels at 80 to the inch), and `pictures`,
                the parts that are photographs or digits and stay as they are on a dark page.
            suffix: of its file.
        """
        self.number += 1
        image = self.image(picture, about.get("alt") or f"Figure {self.number}. {NO_ALT}", about, suffix)
        caption = f"<b>Figure {self.number}.</b> {inline(about['caption'])}" if about.get("caption") else ""
        caption = f'<figcaption class="tex">{caption}</figcaption>' if caption else ""
        return f"<figure>{image}{caption}</figure>"

    def image(self, picture: str, alt: str, about: dict[str, Any], suffix: str = "png") -> str:
        """Return <img> as wide as the text where the figure is, one for light pages and one for dark ones."""
        content = base64.b64decode(picture)
        width, height = _size(content)
        inches = float(about.get("width") or width) / OLD_DPI
        style = f' style="width: {min(100, round(100 * inches / TEXT_WIDTH))}%"' if width else ""
        size = f' width="{width}" height="{height}"' if width else ""

        def tag(content: bytes, theme: str) -> str:
            source = self.add(content, suffix)
            return f'<img class="{theme}" src="{source}" alt="{html.escape(alt)}"{size}{style}>'

        if "pictures" not in about or suffix != "png":
            return tag(content, "any-theme")
        twin = darken_png(content, about["pictures"])
        return tag(content, "light-theme") + tag(twin, "dark-theme")

    def add(self, content: bytes, suffix: str = "png") -> str:
        """Keep a file of the page, a PNG as WebP with the same pixels; return its address."""
        if suffix == "png":
            content, suffix = to_webp(content), "webp"
        name = next((name for name, held in self.files.items() if held == content), None)
        name = name or f"{self.page}-{len(self.files) + 1}.{suffix}"
        self.files[name] = content
        return f"figures/{name}"


def inline(text: str) -> str:
    """Return a caption as HTML: its code and its formulas stay what they are."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def to_webp(content: bytes) -> bytes:
    """Return a picture as WebP: the same pixels, or of a large photograph nearly the same in far fewer bytes.

    Lines and letters stay as they are: without loss they take fewer bytes than with it.
    """
    with Image.open(io.BytesIO(content)) as image:
        exact = _saved(image, lossless=True, exact=True)
        near = _saved(image, quality=90) if len(exact) > LARGE else exact
    return near if len(near) < NEARLY * len(exact) else exact


def _saved(image: Image.Image, **how: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, "WEBP", **how)
    return held.getvalue()


def darken_png(content: bytes, keep: list[list[float]]) -> bytes:
    """Return a figure's twin for dark pages: light and dark change places, except where pictures are.

    Args:
        content: PNG.
        keep: left, top, right and bottom of the parts that stay, as shares of the figure's width and height.
    """
    image = Image.open(io.BytesIO(content))
    pixels = np.asarray(image.convert("RGB"))
    few = image if image.mode in ("L", "P") else image.convert("RGB").quantize(256)
    palette = np.array(few.getpalette("RGB") or [grey for grey in range(256) for _ in range(3)])  # grey has none
    dark = darken(palette.reshape(-1, 3))[np.asarray(few)]
    height, width = pixels.shape[:2]
    for left, top, right, bottom in keep:
        part = np.s_[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        dark[part] = pixels[part]
    held = io.BytesIO()
    Image.fromarray(dark).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(held, "PNG")
    return held.getvalue()


def _size(content: bytes) -> tuple[int, int]:
    """Width and height; zeros for what is no picture that can be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except (OSError, binascii.Error):
        return 0, 0
