"""Write the site: the pages, their style and scripts, MathJax, and the images they use."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

import vaelib
from vaelib.tools.links import REPOSITORY
from vaelib.tools.runner.notebooks import CourseError
from vaelib.tools.site.mathjax import copy_mathjax
from vaelib.tools.site.page import Page, render_page
from vaelib.tools.site.sources import Source

HERE = Path(__file__).parent
MAP = "course_map.svg"
LABS = Path(vaelib.__file__).parent / "widgets" / "js"


def build_site(
    sources: Sequence[Source], output: str | os.PathLike, images: str | os.PathLike = "images"
) -> list[Page]:
    """Write the whole site into a folder; what an earlier build left there goes.

    Args:
        sources: list of Source, in the order of the course.
        output: folder of the site. A folder that holds anything but a site is refused.
        images: folder of the drawn diagrams.

    Returns:
        list of Page, in the order of the course.

    Raises:
        CourseError: the folder holds something else, or an image of a page does not exist.
    """
    output, images = Path(output), Path(images)
    if output.exists() and any(output.iterdir()) and not (output / "assets" / "widgets.js").is_file():
        raise CourseError(f"{output} holds something that is no earlier build of the site. Name another folder.")
    names = [source.notebook.name for source in sources]
    pages = [render_page(source, names) for source in sources]
    wanted = _wanted_images(pages, images)
    if output.exists():
        shutil.rmtree(output)
    (output / "images").mkdir(parents=True)
    for name in wanted:
        (output / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / name, output / "images" / name)
    shutil.copytree(HERE / "assets", output / "assets")
    if any(page.has_labs for page in pages):
        _copy_labs(output / "assets")
    copy_mathjax(output / "assets" / "mathjax")
    _write_pages(pages, output, MAP if MAP in wanted else None)
    return pages


def _copy_labs(assets: Path) -> None:
    """The labs' bundle: its style, and its module as text, because a page from file:// may import no file."""
    if not (LABS / "bundle.js").is_file():
        raise CourseError(f"The labs' bundle is missing in {LABS}. `make widgets` makes it.")
    module = json.dumps((LABS / "bundle.js").read_text("utf-8"), ensure_ascii=False)
    (assets / "labs.js").write_text(f"window.labsModule = {module};\n", encoding="utf-8")
    shutil.copy(LABS / "bundle.css", assets / "labs.css")


def _wanted_images(pages: Iterable[Page], images: Path) -> set[str]:
    wanted = {MAP} if (images / MAP).is_file() else set()
    for page in pages:
        if missing := sorted(name for name in page.images if not (images / name).is_file()):
            raise CourseError(f"{page.name} shows {', '.join(missing)}, not found in {images}.")
        wanted |= page.images
    return wanted


def _write_pages(pages: Sequence[Page], output: Path, course_map: str | None) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    around: dict[str, Any] = {
        "pages": pages,
        "repository": "" if REPOSITORY.endswith("OWNER/REPOSITORY") else REPOSITORY,
    }
    for i, page in enumerate(pages):
        neighbours = {"before": pages[i - 1] if i else None, "after": pages[i + 1] if i + 1 < len(pages) else None}
        _write(environment, "lesson.html", output / f"{page.name}.html", page=page, **neighbours, **around)
    _write(environment, "index.html", output / "index.html", page=None, map=course_map, **around)


def _write(environment: jinja2.Environment, template: str, path: Path, **values: Any) -> None:
    path.write_text(environment.get_template(template).render(**values), encoding="utf-8")
