"""The static site, made from small notebooks: which copy a page shows, what stands on it, that it needs no network."""

import base64
import html
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import vaelib
from vaelib.mime import CLAIM_MIME, DATA_MIME, FIGURE_MIME, LAB_MIME
from vaelib.pretrained.networks import NumpyDecoder, bernoulli_mean
from vaelib.teaching.claims import Summary
from vaelib.teaching.figures import mimebundle
from vaelib.teaching.tables import Table
from vaelib.tools.runner import CourseError, evidence
from vaelib.tools.runner.evidence import collect_evidence, hash_widgets, record_widgets
from vaelib.tools.site import build, build_site, figures, find_sources
from vaelib.tools.site.__main__ import main
from vaelib.tools.site.dark import PAPER
from vaelib.tools.site.outputs import SLIDERS
from vaelib.tools.site.widgets import STATE_MIME, VIEW_MIME
from vaelib.widgets.latent_pad import LatentPad
from vaelib.widgets.png import to_png

ROOT = Path(__file__).parents[2]
SVG = "http://www.w3.org/2000/svg"
PIXEL = base64.b64encode(to_png(np.zeros((2, 2), "uint8"), 1, False)).decode()
TEXT = r"""# 01 · First

**You build it.**

*10 minutes · beginner · you know $x$*

| before | now |
|---|---|
| nothing | [02 Second](02_second.ipynb#here) |

Next: [02 Second](02_second.ipynb) ·
[open on Binder](https://mybinder.org/v2/gh/OWNER/REPOSITORY/HEAD?urlpath=lab/tree/notebooks/01_first.ipynb) ·
[open in Colab](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/01_first.ipynb)

## Why $\log p(x)$ <br>

$$\begin{aligned} a_1 &< b_1 \\ &= c \end{aligned} \tag{1}$$

![A map](../images/a%20map.svg) and [a paper](https://example.org/paper).

<details><summary>Answer</summary>

Because *so*.

</details>
"""


def shown(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


def claim(text, detail, passed=True):
    line = f"{'✓' if passed else '✗'} {text}   {detail}"
    return shown({"text/plain": line, CLAIM_MIME: [{"text": text, "passed": passed, "detail": detail}]})


def source(name, stand_in):
    return shown({"text/plain": f"Data: {name}", DATA_MIME: {"name": name, "origin": "test", "stand_in": stand_in}})


def code(text, *outputs, count=1):
    return new_code_cell(text, outputs=list(outputs), execution_count=count)


def state_of(*widgets):
    """Widget state as a notebook keeps it after its execution."""
    models = {}
    for name, widget in widgets:
        state = widget.get_state()
        binary = {key: value for key, value in state.items() if isinstance(value, bytes)}
        buffers = [
            {"path": [key], "data": base64.b64encode(value).decode(), "encoding": "base64"}
            for key, value in binary.items()
        ]
        models[name] = {"state": {k: v for k, v in state.items() if k not in binary}, "buffers": buffers}
    return {"widgets": {STATE_MIME: {"state": json.loads(json.dumps(models, default=str))}}}


def view(name):
    return shown({"text/plain": "a widget", VIEW_MIME: {"model_id": name}})


def waves(z):
    return 0.5 + 0.5 * np.sin(np.arange(30).reshape(6, 5) * z[:, :1, None])


class Course:
    """A folder with notebooks, executed copies and images."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("notebooks", "executed", "images"):
            (folder / name).mkdir(parents=True)
        (folder / "images" / "a map.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    def write(self, name, *cells, place="notebooks", metadata=None, widgets=None):
        """Write a notebook, in `executed` as the runner leaves it: with the code of the widgets that it shows."""
        path = self.folder / place / f"{name}.ipynb"
        notebook = new_notebook(cells=list(cells), metadata=metadata or {})
        if place == "executed":
            record_widgets(notebook, widgets or hash_widgets())
        nbformat.write(notebook, path)
        return path

    def sources(self):
        return find_sources(self.folder / "notebooks", [self.folder / "executed"])

    def build(self):
        build_site(self.sources(), self.folder / "site", images=self.folder / "images")
        return self.folder / "site"


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path / "a course")


class Tags(HTMLParser):
    """All tags with their attributes, and the text outside scripts."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()

    def handle_data(self, data):
        self.text += "" if self.open else data

    def all(self, tag, attribute):
        return [attributes[attribute] for t, attributes in self.tags if t == tag and attribute in attributes]


def require_self_contained(site):
    """Nothing that a page loads by itself lies outside the site, and all of it is there."""
    for path in site.glob("*.html"):
        tags = Tags(path)
        ids = tags.all("h1", "id") + tags.all("h2", "id") + tags.all("h3", "id") + ["content"]
        loaded = tags.all("script", "src") + tags.all("img", "src") + tags.all("link", "href")
        links = [link for link in tags.all("a", "href") if not re.match(r"https?://", link)]
        for address in loaded + links:
            if address.startswith("data:"):
                continue
            file, _, anchor = address.partition("#")
            file = re.sub(r"%20", " ", file.split("?")[0])
            assert not file or (site / file).is_file(), f"{path.name}: {address}"
            assert file or anchor in ids, f"{path.name}: {address}"
    networks = re.compile(rb"jsdelivr|unpkg|cdnjs|cloudflare|googleapis|(?<![\w.])cdn\.")
    for path in site.rglob("*"):
        if path.is_file():
            assert not networks.search(path.read_bytes()), path


def test_a_whole_page(course):
    course.write(
        "01_first",
        new_markdown_cell(TEXT),
        code(
            "claim('a < b')  # why",
            claim("a < b", "|difference| 0 ≤ 1"),
            claim("c", "1 = 1"),
            shown({"text/plain": "NELBO: 3.5 nats", FIGURE_MIME: {"name": "NELBO"}}),
            source("digits", False),
        ),
        code(
            "plot()",
            shown({"image/png": PIXEL, "text/plain": "<Figure>"}),
            shown({"image/png": PIXEL}, **{"image/png": {"alt": 'Two "pixels"', "width": "20"}}),
            shown({"image/png": PIXEL}),
        ),
        code("print('<b>')", new_output("stream", name="stdout", text="<b> \x1b[31mred\x1b[0m\n")),
        code("table", shown({"text/html": "<table><tr><td>✓</td></tr></table>", "text/plain": "table"})),
        code("lab.show()"),
        code("figures.show('what to see')"),
    )
    course.write("02_second", new_markdown_cell("# 02 · Second\n\n[before](01_first.ipynb)\n\n## Here"))
    site = course.build()
    page, text = Tags(site / "01_first.html"), (site / "01_first.html").read_text("utf-8")
    # Links: between pages, to nowhere that does not exist yet, and outside.
    links = page.all("a", "href")
    assert (
        links.count("02_second.html") >= 2 and "02_second.html#here" in links and "https://example.org/paper" in links
    )
    assert "OWNER" not in text and "Binder" not in text and "ipynb" not in page.text
    assert "Next: 02 Second" in page.text.replace("\n", " ")
    assert (site / "images" / "a map.svg").is_file()
    # Formulas reach MathJax as they were written, whatever HTML thinks of < and &.
    assert r"\begin{aligned} a_1 &< b_1 \\ &= c \end{aligned} \tag{1}" in page.text
    assert ("details", {}) in page.tags and "<em>so</em>" in text
    # Outputs.
    assert re.search(r'<li class="held">.*a &lt; b.*\|difference\| 0 ≤ 1', text)
    assert (
        text.count('<ul class="claims"') == 1
        and "2 of 2 hold" in page.text
        and "<dt>NELBO</dt><dd>3.5 nats</dd>" in text
    )
    assert "Data: digits" in page.text and "&lt;b&gt;" in text and "\x1b" not in text
    alts = page.all("img", "alt")
    assert alts[1] == 'Two "pixels"' and "Figure 1." in alts[0] and "Figure 3." in alts[2]
    # The drawn map stands in the page itself.
    assert ("svg", {"role": "img", "aria-label": "A map", "class": "diagram", "xmlns": SVG}) in page.tags
    (picture,) = set(page.all("img", "src"))
    assert pixels(site / picture) == pixels(io.BytesIO(base64.b64decode(PIXEL)))
    assert page.text.count(SLIDERS) == 1, "the lab left nothing but this line"
    assert ("table", {}) in page.tags
    # Around the content.
    assert page.all("a", "rel") == ["next"] and Tags(site / "02_second.html").all("a", "rel") == ["prev"]
    assert page.all("html", "lang") == ["en"] and "#content" in links
    index = Tags(site / "index.html")
    assert {"01_first.html", "02_second.html"} <= set(index.all("a", "href"))
    assert "You build it." in index.text and "10 minutes · beginner" in index.text and "you know" not in index.text
    require_self_contained(site)


def test_a_committed_notebook_of_the_course(course):
    shutil.copy(ROOT / "notebooks" / "02_elbo.ipynb", course.folder / "notebooks")
    shutil.copytree(ROOT / "images", course.folder / "images", dirs_exist_ok=True)
    content = nbformat.read(ROOT / "notebooks" / "02_elbo.ipynb", as_version=4)
    # Only this lesson is there, so links to the others would lead nowhere.
    for cell in content.cells:
        cell.source = re.sub(r"\]\(0[^2]_\w+\.ipynb\)", "](02_elbo.ipynb)", cell.source)
    nbformat.write(content, course.folder / "notebooks" / "02_elbo.ipynb")
    site = course.build()
    page = Tags(site / "02_elbo.html")
    written = [o for c in content.cells if c.cell_type == "code" for o in c.outputs]
    claims = collect_evidence(content)["claims"]
    text = (site / "02_elbo.html").read_text("utf-8")
    # Each stands below its cell, and those before the summary once more in it, by section.
    end = next(i for i, cell in enumerate(content.cells) if cell.source.endswith("summary()"))
    summed = collect_evidence(nbformat.v4.new_notebook(cells=content.cells[:end]))["claims"]
    assert 10 < len(summed) < len(claims) and text.count('<li class="held">') == len(claims) + len(summed)
    pictures = [o for o in written if "image/png" in o.get("data", {})]
    assert len([src for src in page.all("img", "src") if src.startswith("figures/")]) >= len(pictures) > 3
    tags = [
        number for c in content.cells if c.cell_type == "markdown" for number in re.findall(r"\\tag\{\w+\}", c.source)
    ]
    assert tags and all(tag in page.text for tag in tags)
    assert all(page.all("img", "alt"))
    course_map = re.search(r'<svg class="map".*?</svg>', (site / "index.html").read_text("utf-8"), re.DOTALL)[0]
    assert re.findall(r'<a href="([^"]*)"', course_map) == ["02_elbo.html"] and "<title" not in course_map
    require_self_contained(site)


def test_explorers_bring_their_state_and_the_rest_a_picture(course):
    kernel = np.random.default_rng(0).standard_normal((2, 30)).astype("float32")
    pad = LatentPad(NumpyDecoder([lambda h: h @ kernel], bernoulli_mean, (6, 5), 2), names=("a</script>", "b"))
    dead = LatentPad(waves, latent_dim=2, z=[1, 0], alt="Waves & <so on>")
    state = state_of(("pad", pad), ("dead", dead))
    models = state["widgets"][STATE_MIME]["state"]
    models["box"] = {"state": {"children": ["IPY_MODEL_pad", "IPY_MODEL_slider"]}}
    models["slider"] = {"state": {"value": 1, "_view_module": "@jupyter-widgets/controls"}}
    cells = [
        code("a = LatentPad(x)\na", view("pad")),
        code("box", view("box")),
        code("slider", view("slider")),
        code("waves", view("dead")),
    ]
    course.write("01_pads", *cells, place="executed", metadata=state)
    for cell in cells:
        cell.outputs = []
    course.write("01_pads", *cells)
    (page_source,) = course.sources()
    assert page_source.executed and page_source.has_explorers and not page_source.needs_run
    site = course.build()
    page = Tags(site / "01_pads.html")
    assert page.all("div", "data-model") == ["pad", "pad"] and page.text.count(SLIDERS) == 1
    assert page.all("script", "src")[-2:] == ["explorers/01_pads.js", "assets/widgets.js"]
    content = widget_state(site / "explorers" / "01_pads.js")
    assert list(content["models"]) == ["pad"] and "a</script>" in content["models"]["pad"]["state"]["names"]
    assert content["sources"][content["models"]["pad"]["module"]] == pad.get_state()["_esm"]
    weights = content["sources"][content["models"]["pad"]["buffers"]["weights"]]
    assert base64.b64decode(weights) == pad.weights != b""
    # What needs Python stands as its first picture, and says so.
    (picture,) = page.all("img", "src")
    assert pixels(site / picture) == pixels(io.BytesIO(to_png(dead.image([1, 0]), 10, True)))
    assert "Waves & <so on>" in page.all("img", "alt") and "its decoder needs Python" in page.text
    require_self_contained(site)


def pixels(picture):
    """A picture without its file format."""
    with Image.open(picture) as image:
        return image.size, image.convert("RGB").tobytes()


def widget_state(script):
    """What a page's script holds of its explorers."""
    return json.loads(re.fullmatch(r"window\.widgetState = (.*);\n", script.read_text("utf-8"))[1])


def lab(state, **more):
    return shown({"text/plain": "a lab", "image/png": PIXEL, LAB_MIME: state, **more}, **{"image/png": {"alt": "Bars"}})


def test_a_lab_lives_from_its_output_alone(course, tmp_path, monkeypatch):
    state = {"kind": "bars", "spec": {"text": "</script><b>"}, "values": {"mu": 0.5}}
    cells = [
        code("lab", lab(state)),
        code("again", lab({**state, "values": {"mu": 1}}, **{VIEW_MIME: {"model_id": "gone"}})),
    ]
    course.write("01_labs", *cells)
    monkeypatch.setattr(build, "LABS", tmp_path / "none")
    with pytest.raises(CourseError, match="make widgets"):
        course.build()
    bundle = "export default { render({ el }) { el.append('</script> \\u2028'); } };"
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "labs.js").write_text(bundle)
    (tmp_path / "none" / "labs.css").write_text("/* style of the labs */")
    site = course.build()
    text, page = (site / "01_labs.html").read_text("utf-8"), Tags(site / "01_labs.html")
    states = re.findall(r'<script type="application/json" class="lab-state">(.*?)</script>', text)
    assert [json.loads(held) for held in states] == [state, {**state, "values": {"mu": 1}}]
    assert [i for i in page.all("div", "id") if i.startswith("lab")] == ["lab-1", "lab-2"]
    assert page.all("img", "alt") == ["Bars", "Bars"] and page.text.count("still picture") == 2
    module = re.fullmatch(r"window\.labsModule = (.*);\n", (site / "assets" / "labs.js").read_text("utf-8"))
    assert json.loads(module[1]) == bundle
    assert "assets/labs.css" in page.all("link", "href")
    require_self_contained(site)


def test_the_front_page_shows_the_first_explorer_of_the_faces(course):
    kernel = np.random.default_rng(0).standard_normal((2, 30)).astype("float32")
    decoder = NumpyDecoder([lambda h: h @ kernel], bernoulli_mean, (6, 5), 2)
    first, second = LatentPad(decoder, names=("pose", "humour")), LatentPad(decoder, names=("a", "b"))
    cells = [code("LatentPad(x)", view("first")), code("LatentPad(y)", view("second"))]
    state = state_of(("first", first), ("second", second))
    course.write("09_faces", *cells, place="executed", metadata=state)
    for cell in cells:
        cell.outputs = []
    course.write("09_faces", *cells)
    site = course.build()
    text = (site / "index.html").read_text("utf-8")
    assert re.findall(r'<div class="explorer" id="(.*?)" data-model="(.*?)"', text) == [("lab-1", "first")]
    assert '<script defer src="explorers/09_faces.js"></script>' in text
    content = widget_state(site / "explorers" / "09_faces.js")
    assert list(content["models"]) == ["first", "second"]
    assert content["models"]["first"]["state"]["names"] == ["pose", "humour"]
    assert content["sources"][content["models"]["first"]["module"]] == first.get_state()["_esm"]
    # One decoder, once on the page.
    assert len({model["buffers"]["weights"] for model in content["models"].values()}) == 1
    assert len(set(content["sources"])) == len(content["sources"])
    require_self_contained(site)
    (course.folder / "executed" / "09_faces.ipynb").unlink()
    assert "explorers/" not in (course.build() / "index.html").read_text("utf-8")


def test_words_are_explained_and_sections_are_found(course):
    course.write(
        "01_a",
        new_markdown_cell(
            "# 01 · Prior\n\nThe prior, `encoder` and $\\text{decoder}$ and the [posterior](https://a.b)."
        ),
        new_markdown_cell("## The ELBO\n\nThe Prior again. Nelbo is no word, NELBO is. An evidence lower bound."),
        code("prior = 1  # latent variable"),
    )
    course.write("02_b", new_markdown_cell("# 02\n\nPriors none; a prior."))
    site = course.build()
    text = (site / "01_a.html").read_text("utf-8")
    links = re.findall(r'<a class="term" href="(.*?)">(.*?)</a>', text)
    assert links == [("glossary.html#prior", "prior"), ("glossary.html#elbo", "NELBO")], "each once, and in plain text"
    glossary = Tags(site / "glossary.html")
    assert sorted(glossary.all("dt", "id")) == ["elbo", "prior"], "words that no lesson uses are left out"
    assert "In 01, 02" in re.sub(r"\s+", " ", glossary.text)
    script = (site / "assets" / "search-index.js").read_text("utf-8")
    found = json.loads(script.removeprefix("window.searchEntries = ").removesuffix(";\n"))
    found = [entry for entry in found if not entry["id"].startswith("library.html")]
    assert [(entry["id"].split("#")[0], entry["title"]) for entry in found] == [
        ("01_a.html", "01 · Prior"), ("01_a.html", "The ELBO"), ("02_b.html", "02"),
    ]  # fmt: skip
    assert "Nelbo is no word" in found[1]["text"] and not any("latent variable" in e["text"] for e in found), (
        "code is not searched"
    )
    require_self_contained(site)


def test_a_page_says_what_it_is_whatever_it_quotes(course):
    course.write("01_a", new_markdown_cell('# 01 · "Quoted" & more\n\n**You see `x` & "y".**'))
    site = course.build()
    for page, title, description in (
        ("01_a", '01 · "Quoted" & more', 'You see x & "y".'),
        ("index", "Variational autoencoders, proved in numbers", 'A course from "what is a latent variable" to a face'),
    ):
        metas = {
            a.get("name", a.get("property")): a.get("content")
            for t, a in Tags(site / f"{page}.html").tags
            if t == "meta"
        }
        assert metas["description"] == metas["og:description"] and metas["description"].startswith(description)
        assert metas["og:title"] == title


def test_cells_that_only_check_are_folded_and_lessons_that_run_elsewhere_linked(course, monkeypatch):
    folded = code("claim_true('a', 1 == 1)", claim("a", "1 = 1"))
    question = code("ask(1)", shown({"text/plain": "1"}))
    question.metadata["jupyter"] = {"source_hidden": True}
    answer = code("claim(4)", claim("d", ""))
    answer.metadata["tags"] = ["answer"]
    end = shown({"text/html": Summary(())._repr_html_()})
    course.write(
        "01_a",
        new_markdown_cell("# 01\n\n## First"),
        folded,
        question,
        code("claim(2)", claim("b", ""), claim("c", "")),
        new_markdown_cell("## Second"),
        answer,
        code("summary()", end),
    )
    (course.folder / "lite" / "files").mkdir(parents=True)
    (course.folder / "lite" / "files" / "01_a.ipynb").write_text("{}")
    monkeypatch.setattr(build, "REPOSITORY", "https://github.com/someone/course")
    build_site(course.sources(), course.folder / "site", images=course.folder / "images", lite=course.folder / "lite")
    text = (course.folder / "site" / "01_a.html").read_text("utf-8")
    for title in ("the check", "the code"):
        assert text.count(f'<details class="check"><summary>{title}</summary><div class="code">') == 1
    whole = re.search(
        r'<details class="check cell"><summary>the answer, computed</summary>.*?</details>', text, re.DOTALL
    )
    assert "claim" in whole[0] and '<div class="output">' in whole[0]
    summary = text[text.index('<div class="summary">') :]
    assert "4 claims made, 4 held" in summary and 'First <span class="count">3 of 3 hold' in summary
    runs = re.search(r'<p class="runs">.*?</p>', text, re.DOTALL)[0]
    assert 'href="../lite/notebooks/index.html?path=01_a.ipynb"' in runs and "mybinder" in runs and "colab" in runs


def test_a_table_knows_its_columns(course):
    text = "# T\n\n| | $\\log p(x)$ |\n|---|---|\n| a | b |"
    course.write(
        "01_a", new_markdown_cell(text), code("t", shown({"text/html": Table(["n", "m"], [["r", "1"]])._repr_html_()}))
    )
    page = Tags(course.build() / "01_a.html")
    assert [a.get("data-label") for t, a in page.tags if t == "td"] == [None, None, "log p(x)", "m"]


def test_which_copy_is_shown(course):
    cells = [code("x = 1", count=1), code("print(x)", new_output("stream", text="real\n"), count=2)]
    committed = course.write("01_a", *cells)

    def executed(*cells, **metadata):
        path = course.write("01_a", *cells, place="executed", metadata=metadata)
        (found,) = course.sources()
        assert (found.executed == path) == (found.content != nbformat.read(committed, as_version=4))
        return found.executed == path

    ran = new_output("stream", text="again\n")
    first = cells[0]
    assert executed(first, code("print(x)", ran, count=2))
    assert not executed(first, code("print(y)", ran, count=2)), "other code"
    assert not executed(first, code("x = 5"), code("print(x)", ran)), "other parameters"
    assert not executed(first, code("print(x)", ran, count=None)), "not run to its end"
    error = new_output("error", ename="E", evalue="", traceback=[])
    assert not executed(first, code("print(x)", error, count=2)), "an error"
    # Stand-in data do not push out real data, but follow other stand-ins and an empty notebook.
    assert not executed(first, code("print(x)", source("drawn", True), count=2))
    cells[1].outputs = [source("drawn", True)]
    course.write("01_a", *cells)
    assert executed(first, code("print(x)", source("other", True), count=2))
    cells[1].outputs = []
    course.write("01_a", *cells)
    assert executed(first, code("print(x)", source("drawn", True), count=2))
    assert not course.sources()[0].needs_run
    (course.folder / "executed" / "01_a.ipynb").unlink()
    assert course.sources()[0].needs_run, "no outputs anywhere"


def test_a_copy_with_explorers_shows_the_code_that_they_have_now(course):
    cells = [code("pad = LatentPad(model)\npad", view("pad"))]
    course.write("01_a", *cells)
    path = course.write("01_a", *cells, place="executed")
    os.utime(path, (1, 1))  # a checkout sets the times of all files: they tell nothing
    assert course.sources()[0].executed == path
    course.write("01_a", *cells, place="executed", widgets=hash_widgets().translate(str.maketrans("0123", "1032")))
    assert course.sources()[0].executed is None and course.sources()[0].needs_run
    nbformat.write(new_notebook(cells=cells), path)
    assert course.sources()[0].executed is None, "it does not say which code it shows"
    course.write("01_a", code("from vaelib.widgets import LatentPad", new_output("stream", text="x")))
    assert not course.sources()[0].needs_run, "to import it is not to show it"


def test_the_code_of_the_widgets_is_known_by_its_content_and_names(tmp_path, monkeypatch):
    copy = tmp_path / "widgets"
    shutil.copytree(Path(vaelib.__file__).parent / "widgets", copy)
    monkeypatch.setattr(evidence, "_WIDGETS", copy)
    module, first = sorted(copy.rglob("*.js"))[0], hash_widgets()
    os.utime(module, (1, 1))
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "new.pyc").write_bytes(b"x")
    assert hash_widgets() == first
    module.write_bytes(b"#" + module.read_bytes()[1:])
    changed = hash_widgets()
    module.rename(module.with_name(f"{module.stem}_.js"))
    assert len({first, changed, hash_widgets()}) == 3


def test_a_claim_stands_on_the_page_as_it_was_made(course):
    detail = "|difference| 0 ≤ 1"
    broken = claim("with   wide   gaps", "3 ≠ 4", passed=False)
    course.write("01_a", code("claims()", claim("a   b < c", detail), broken, claim("bare", "")))
    text = (course.build() / "01_a.html").read_text("utf-8")
    chip, after = re.search(r"<details class=.claims-chip failed.>(.*?)</details>(.*)", text, re.DOTALL).groups()
    assert "2 of 3 hold" in chip
    assert re.findall(r'<li class="(\w+)">', after) == ["failed"], "what failed stands open"
    items = re.findall(
        r'<li class="(\w+)"><span class="mark">(.)</span> <span>(.*?)</span> <span class="detail">(.*?)<', chip
    )
    assert items == [
        ("held", "✓", "a   b &lt; c", detail),
        ("failed", "✗", "with   wide   gaps", "3 ≠ 4"),
        ("held", "✓", "bare", ""),
    ]


def test_a_figure_stands_on_the_page_as_it_was_recorded(course):
    record = shown({"text/plain": "R²: of z: 0.50", FIGURE_MIME: {"name": "R²: of z", "value": 0.5, "unit": ""}})
    course.write("01_a", code("record()", record))
    assert "<dt>R²: of z</dt><dd>0.50</dd>" in (course.build() / "01_a.html").read_text("utf-8")


def test_a_figure_has_a_caption_and_a_twin_for_dark_pages(course):
    plt.subplots(figsize=(3.5, 2))[1].plot([1, 2], color="black")
    data, metadata = mimebundle(plt.gcf())
    plt.close("all")
    metadata["image/png"]["caption"] = "Where $y$ < 1, `x` rises."
    caption = shown({"text/plain": "Where", "text/markdown": "*Where*"}, vaelib="caption")
    course.write("01_a", code("draw()", shown(data, **metadata), caption))
    site = course.build()
    text, page = (site / "01_a.html").read_text("utf-8"), Tags(site / "01_a.html")
    assert '<figcaption class="tex"><b>Figure 1.</b> Where $y$ &lt; 1, <code>x</code> rises.</figcaption>' in text
    assert text.count("rises") == 1 and "*Where*" not in text
    light, dark = (attributes for tag, attributes in page.tags if tag == "img")
    assert (light["class"], dark["class"]) == ("light-theme", "dark-theme") and light["alt"] == dark["alt"] == "1 line."
    assert 45 <= int(re.search(r"width: (\d+)%", light["style"])[1]) <= 55, "half of seven inches, half of the text"
    papers = [Image.open(site / a["src"]).convert("RGB").getpixel((1, 1)) for a in (light, dark)]
    assert papers == [(255, 255, 255), PAPER]
    require_self_contained(site)


def test_the_command_line_runs_what_only_a_run_can_fill(course, monkeypatch, capsys):
    monkeypatch.chdir(course.folder)
    course.write("01_old", code("print('kept')", new_output("stream", name="stdout", text="kept\n")))
    course.write("02_new", code("print(6 * 7)\n# LatentPad(...)", count=None))
    assert main(["--run", "none"]) == 0
    assert "42" not in Tags(course.folder / "build/site/02_new.html").text
    capsys.readouterr()
    assert main([]) == 0
    assert "42" in Tags(course.folder / "build/site/02_new.html").text
    out = capsys.readouterr().out
    assert "running 02_new" in out and "running 01_old" not in out and "2 pages" in out
    assert main([]) == 0
    assert "running" not in capsys.readouterr().out, "what has run is shown again"
    course.write("02_new", code("1 / 0", count=None))
    assert main([]) == 1 and "division by zero" in capsys.readouterr().err
    # It ran, and what it left fits no more: not without a word.
    monkeypatch.setattr("vaelib.tools.runner.execution.execute", lambda *args, **options: {"passed": True})
    course.write("02_new", code("DrawDigit(model)", count=None))
    assert main([]) == 1 and "No copy fits 02_new" in capsys.readouterr().err


def test_what_is_refused(course):
    with pytest.raises(CourseError, match="holds no notebook"):
        course.sources()
    course.write("01_a", new_markdown_cell("![x](../images/none.svg)"))
    with pytest.raises(CourseError, match=r"01_a shows none\.svg"):
        course.build()
    course.write("01_a", new_markdown_cell("# A"))
    (course.folder / "site").mkdir()
    (course.folder / "site" / "precious.txt").write_text("mine")
    with pytest.raises(CourseError, match="no earlier build"):
        course.build()
    assert (course.folder / "site" / "precious.txt").read_text() == "mine"
    (course.folder / "site" / "precious.txt").unlink()
    course.build()
    (course.folder / "site" / "old.html").write_text("a lesson that is gone")
    assert html.escape("A") in Tags(course.build() / "01_a.html").text
    assert not (course.folder / "site" / "old.html").exists()


def test_what_a_host_keeps_beside_the_pages_stays(course):
    course.write("01_a", new_markdown_cell("# A"))
    site = course.folder / "site"
    (site / ".git").mkdir(parents=True)
    (site / ".git" / "HEAD").write_text("mine")
    for _ in range(2):
        course.build()
        assert (site / ".git" / "HEAD").read_text() == "mine" and (site / "01_a.html").is_file()
    (site / "CNAME").write_text("example.org")
    course.build()
    assert (site / "CNAME").read_text() == "example.org"
    assert not list(course.folder.glob(".partial-*"))


def test_a_full_disk_leaves_the_earlier_site(course, monkeypatch):
    from vaelib.tools.site import build

    course.write("01_a", new_markdown_cell("# The first"))
    course.build()
    course.write("01_a", new_markdown_cell("# The second"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "copy_mathjax", full)
    with pytest.raises(OSError, match="No space left"):
        course.build()
    assert "The first" in Tags(course.folder / "site" / "01_a.html").text
    assert not list(course.folder.glob(".partial-*"))


def test_a_drawing_keeps_its_pixels_and_a_photograph_nearly():
    rng = np.random.default_rng(0)
    rough = np.kron(rng.uniform(size=(50, 50)), np.ones((8, 8)))
    photograph = np.clip(255 * (0.8 * rough + 0.2 * rng.uniform(size=rough.shape)), 0, 255).astype("uint8")
    drawing = np.full((400, 400), 255, "uint8")
    drawing[np.arange(400), np.arange(400)] = 0
    for image, loss in ((photograph, 8), (drawing, 0)):
        png = to_png(image, 1, False)
        webp = figures.to_webp(png)
        with Image.open(io.BytesIO(webp)) as held:
            off = np.abs(np.asarray(held.convert("L"), float) - image).mean()
        assert (0 < off < loss) if loss else off == 0
        assert len(webp) < (0.75 if loss else 1) * len(png)
