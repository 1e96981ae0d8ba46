"""Write the site: the pages, their style and scripts, MathJax, and the images they use."""

import html
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from vaelib.teaching.palette import css_variables
from vaelib.tools.links import PLACEHOLDER, REPOSITORY, binder_link, colab_link
from vaelib.tools.runner.notebooks import CourseError
from vaelib.tools.site import api
from vaelib.tools.site.dark import both_themes
from vaelib.tools.site.glossary import Term, link_first_uses, read_glossary
from vaelib.tools.site.mathjax import copy_mathjax
from vaelib.tools.site.page import Page, render_page
from vaelib.tools.site.search import entries, index_script
from vaelib.tools.site.sources import Source
from vaelib.widgets import bundles

HERE = Path(__file__).parent
MAP = "course_map.svg"
FRONT = "09_faces"  # the lesson whose first explorer is alive on the front page
LABS = bundles.FOLDER
KEPT = ("CNAME",)  # with everything hidden: what a host of pages keeps beside a site


def build_site(
    sources: Sequence[Source],
    output: str | os.PathLike,
    images: str | os.PathLike = "images",
    lite: str | os.PathLike | None = None,
) -> list[Page]:
    """Write the whole site into a folder; what an earlier build left there goes once the new one is whole.

    Hidden files and folders there, such as `.git`, and `CNAME` stay. Markdown, HTML and SVG of the notebooks reach the
    pages as they are: build pages of notebooks that you trust.

    Args:
        sources: list of Source, in the order of the course.
        output: folder of the site. A folder that holds anything but a site is refused.
        images: folder of the drawn diagrams.
        lite: folder of the JupyterLite site, where there is one: pages link to the lessons that run there.

    Returns:
        list of Page, in the order of the course.

    Raises:
        CourseError: the folder holds something else, or an image of a page does not exist.
        OSError: the pages cannot be written; the earlier site still stands.
    """
    output, images = Path(output), Path(images)
    if (
        output.exists()
        and any(not _kept(entry) for entry in output.iterdir())
        and not (output / "assets" / "widgets.js").is_file()
    ):
        raise CourseError(f"{output} holds something that is no earlier build of the site. Name another folder.")
    names = [source.notebook.name for source in sources]
    pages = [render_page(source, names) for source in sources]
    wanted = _wanted_images(pages, images)
    terms = read_glossary()
    found = [entry for page in pages for entry in entries(page.name, page.title, page.body)]
    found += api.entries()
    for page in pages:
        page.body = _inline_diagrams(link_first_uses(page.body, terms, page.name), images)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=output.parent, ignore_cleanup_errors=True) as scratch:
        new = Path(scratch)
        _write_site(pages, new, images, wanted, found, names, terms, _in_lite(lite, output, names))
        _put_in_place(new, output)
    return pages


def _put_in_place(new: Path, output: Path) -> None:
    """Move a site that is whole to where an earlier one stands; what a host keeps there, such as .git, stays."""
    output.mkdir(exist_ok=True)
    for old in output.iterdir():
        if not _kept(old):
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    for entry in new.iterdir():
        os.replace(entry, output / entry.name)


def _kept(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name in KEPT


def _write_site(
    pages: Sequence[Page],
    output: Path,
    images: Path,
    wanted: set[str],
    found: Sequence[Any],
    names: Sequence[str],
    terms: Sequence[Term],
    in_lite: dict[str, str],
) -> None:
    for folder in ("images", "figures", "explorers"):
        (output / folder).mkdir(parents=True)
    for name in wanted:
        (output / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / name, output / "images" / name)
    for page in pages:
        for name, content in page.files.items():
            (output / "figures" / name).write_bytes(content)
        if page.widgets:
            (output / "explorers" / f"{page.name}.js").write_text(page.widgets, encoding="utf-8")
    shutil.copytree(HERE / "assets", output / "assets")
    (output / "assets" / "search-index.js").write_text(index_script(found), encoding="utf-8")
    if any(page.has_labs for page in pages):
        _copy_labs(output / "assets")
    copy_mathjax(output / "assets" / "mathjax")
    course_map = _course_map(images / MAP, names) if MAP in wanted else ""
    _write_pages(pages, output, course_map, [term for term in terms if term.used], in_lite)


def _copy_labs(assets: Path) -> None:
    """The labs' bundle: its style, and its module as text, because a page from file:// may import no file."""
    if not (LABS / "labs.js").is_file():
        raise CourseError(f"The labs' bundle is missing in {LABS}. `make widgets` makes it.")
    module = json.dumps((LABS / "labs.js").read_text("utf-8"), ensure_ascii=False)
    (assets / "labs.js").write_text(f"window.labsModule = {module};\n", encoding="utf-8")
    style = css_variables(".vaelib-lab") + (LABS / "labs.css").read_text("utf-8")
    (assets / "labs.css").write_text(style, encoding="utf-8")


def _wanted_images(pages: Iterable[Page], images: Path) -> set[str]:
    wanted = {MAP} if (images / MAP).is_file() else set()
    for page in pages:
        if missing := sorted(name for name in page.images if not (images / name).is_file()):
            raise CourseError(f"{page.name} shows {', '.join(missing)}, not found in {images}.")
        wanted |= page.images
    return wanted


def _inline_diagrams(body: str, images: Path) -> str:
    """Put drawn diagrams into the page itself, where their colours follow its theme."""

    def inline(match: re.Match) -> str:
        # The alt text of the page takes the place of the drawing's own title and description.
        attributes = f'<svg role="img" aria-label="{match[2]}" class="diagram"'
        return _themed(images / html.unescape(match[1]).replace("%20", " "), attributes)

    return re.sub(r'<img src="images/([^"]+\.svg)" alt="([^"]*)"[^>]*>', inline, body)


def _course_map(path: Path, names: Sequence[str]) -> str:
    """The map of the course, whose lessons are links."""
    drawing = _themed(path, '<svg class="map" aria-label="The map of the course"')
    for name in names:
        number = name.split("_")[0]
        drawing = re.sub(
            rf'<g class="lesson-{number}">(.*?)</g>', rf'<a href="{name}.html">\1</a>', drawing, flags=re.DOTALL
        )
    return drawing


def _themed(path: Path, start: str) -> str:
    drawing = path.read_text("utf-8")
    drawing = re.sub(r"<(title|desc)\b.*?</\1>\n?", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' (role|aria-labelledby)="[^"]*"', "", drawing, count=2)
    return both_themes(drawing.strip().replace("<svg", start, 1))


def _in_lite(lite: str | os.PathLike | None, output: Path, names: Iterable[str]) -> dict[str, str]:
    """Address in the JupyterLite site of each lesson that it holds."""
    if lite is None or not Path(lite).is_dir():
        return {}
    held = {
        path.stem: path.relative_to(Path(lite) / "files").as_posix() for path in Path(lite).rglob("files/**/*.ipynb")
    }
    start = Path(os.path.relpath(lite, output)).as_posix()
    return {name: f"{start}/notebooks/index.html?path={held[name]}" for name in names if name in held}


def _write_pages(
    pages: Sequence[Page], output: Path, course_map: str, terms: Sequence[Term], lite: dict[str, str]
) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    public = REPOSITORY != PLACEHOLDER
    around: dict[str, Any] = {"pages": pages, "repository": REPOSITORY if public else "", "terms": terms}
    for i, page in enumerate(pages):
        neighbours = {"before": pages[i - 1] if i else None, "after": pages[i + 1] if i + 1 < len(pages) else None}
        path = f"notebooks/{page.name}.ipynb"
        runs = {"Binder": binder_link(path), "Colab": colab_link(path)} if public else {}
        values = {"page": page, "runs": runs, "lite": lite.get(page.name), **neighbours, **around}
        _write(environment, "lesson.html", output / f"{page.name}.html", **values)
    front = next((page for page in pages if page.name == FRONT), None)
    _write(environment, "index.html", output / "index.html", page=None, front=front, map=course_map, **around)
    _write(environment, "glossary.html", output / "glossary.html", page=None, **around)
    _write(environment, "library.html", output / f"{api.PAGE}.html", page=None, groups=api.groups(), **around)


def _write(environment: jinja2.Environment, template: str, path: Path, **values: Any) -> None:
    path.write_text(environment.get_template(template).render(**values), encoding="utf-8")
