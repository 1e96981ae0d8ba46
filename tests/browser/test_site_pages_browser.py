"""Every page of the site as a reader meets it: nothing cut at any width, no barrier, and what a page does by itself.

Every lab of every lesson is alive there, moved by keys, mouse and touch, with the network blocked.
"""

import json
import re
from itertools import product

import nbformat
import pytest
from site_pages import ROOT, typeset, visits

from vaelib.mime import LAB_MIME

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
BESIDE = ("index", "glossary", "library")  # the pages that are no lesson's
NAMES = [*sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")), *BESIDE]
WIDTHS, THEMES = (1280, 800, 390), ("light", "dark")
# Where axe looks at a lesson. Its rules see colours, which the theme sets, or sizes, which the width sets, never both
# at once: two corners stand for all four. The pages beside are short and get all of them.
CORNERS = ((390, "dark"), (1280, "light"))
AXE = ROOT / "build" / "js" / "node_modules" / "axe-core" / "axe.min.js"  # `make widgets` puts it there
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# What is cut off or sticks out, with everything that folds laid open. MathJax's own boxes overlap by design, and are
# measured as a whole.
CUT = """() => {
  const skipped = ".MJX_Assistive_MathML, .MathJax_Preview, .stacked thead, script, .scrolls, [hidden]";
  const edge = document.querySelector("main").getBoundingClientRect().right + 1;
  const cut = [];
  for (const e of document.querySelectorAll("main, main *")) {
    if (e.closest(skipped) || e.matches("svg *, .MathJax *")) continue;
    const style = getComputedStyle(e);
    if (style.display === "none" || style.visibility === "hidden") continue;
    const inline = style.display === "inline" && !e.matches(".MathJax, img");
    const wide = !inline && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1;
    const out = !inline && e.getBoundingClientRect().right > edge;
    const text = e.textContent.trim().slice(0, 60);
    if (wide || out) cut.push(`${e.tagName}.${e.className}: ${e.scrollWidth} > ${e.clientWidth}: ${text}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) cut.push("the page");
  return cut;
}"""


def labs_in(path):
    """How many outputs of a committed lesson hold a lab."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return sum(LAB_MIME in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))


LABS = {path.stem: labs_in(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if labs_in(path)}


def check_formulas(page, name):
    """Every formula of the lesson is there, with its number and without an error; and every picture."""
    source = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    prose = "\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", prose, flags=re.DOTALL)
    displayed = re.findall(r"\$\$.+?\$\$", prose, flags=re.DOTALL)
    assert page.locator(".MathJax_Display").count() == len(displayed)
    assert page.locator("span.MathJax").count() >= len(displayed)
    assert page.locator(".merror, .MathJax_Error, .noError").count() == 0
    left = page.evaluate(
        r"""() => {
          const copy = document.querySelector("article").cloneNode(true);
          copy.querySelectorAll("pre, code, script, .output").forEach((e) => e.remove());
          return copy.textContent.match(/.{0,40}(\$|\\[a-zA-Z]+).{0,40}/g);
        }"""
    )
    assert left is None
    numbers = re.findall(r"\\tag\{(\w+)\}", prose)
    shown = page.locator(".MathJax_Display .mtd").all_inner_texts()
    assert [n for n in numbers if f"({n})" not in "".join(shown).replace("\u2061", "")] == []
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def picture(lab):
    """What a lab shows, after the next two frames."""
    return lab.evaluate(
        """async (lab) => {
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return lab.querySelector(".picture").innerHTML;
        }"""
    )


def drag(page, finger, x, y, dx):
    """By the finger of a touch screen, or by the mouse if it is None."""
    if finger is None:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y, steps=5)
        page.mouse.up()
        return
    for kind, share in (("touchStart", 0), ("touchMove", 0.5), ("touchMove", 1), ("touchEnd", None)):
        points = [] if share is None else [{"x": x + share * dx, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def lay_open(page):
    page.evaluate("document.querySelectorAll('main details').forEach((d) => (d.open = true))")
    typeset(page)


def resize(page, width):
    page.set_viewport_size({"width": width, "height": 1000})
    page.wait_for_function(f"innerWidth === {width}")
    typeset(page)


def test_what_is_cut_is_found(lessons, visit):
    page = visit(lessons / "index.html", width=390)
    assert page.evaluate(CUT) == []
    page.evaluate("document.querySelector('article p').style.cssText = 'white-space: nowrap; overflow: hidden'")
    assert len(page.evaluate(CUT)) == 1
    page.evaluate("document.querySelector('article p').innerHTML = '<div style=\"width: 500px\">wide</div>'")
    assert len(page.evaluate(CUT)) >= 2


def test_the_theory_lessons_and_two_more_have_labs():
    assert {name[:2] for name in LABS} >= {"01", "02", "04", "05", "06", "10", "11"}


@pytest.fixture
def axe():
    def run(page):
        if not AXE.is_file():
            pytest.skip("axe-core is not there: `make widgets` installs it")
        page.evaluate(AXE.read_text("utf-8"))
        # What MathJax draws is hidden from screen readers, which get its MathML. Style sheets are not asked for again:
        # a page from file:// may not read them. Only what is wrong leaves the page: the thousands of elements that
        # pass take longer to travel than to check.
        passed, violations = page.evaluate(
            """async (rules) => {
              const found = await axe.run({ exclude: [".MathJax > .math"] }, {
                runOnly: { type: "tag", values: rules }, resultTypes: ["violations"], preload: false,
              });
              const lines = found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)}`));
              return [found.passes.length, lines];
            }""",
            RULES,
        )
        assert passed > 20
        return violations

    return run


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def page(name, lessons, browser):
    """A page of the site, opened once for all that is asked of it: to set its formulas is most of the time."""
    with visits(browser) as visit:
        yield visit(lessons / f"{name}.html", width=WIDTHS[0], has_touch=True)


def test_a_page_shows_everything_at_any_width_and_bars_nobody(page, name, axe):
    if name not in BESIDE:
        check_formulas(page, name)
    lay_open(page)
    for width in WIDTHS:
        resize(page, width)
        assert page.evaluate(CUT) == [], f"{width} px"
        # A formula that scrolls is the last resort, of narrow screens, and the keyboard reaches it.
        scrolls = page.locator(".scrolls").evaluate_all("all => all.map((e) => [e.tabIndex, e.className])")
        assert all(tab == 0 and "MathJax_Display" in kind for tab, kind in scrolls)
        assert width < 800 or not scrolls
        for theme in THEMES:
            if (width, theme) in (CORNERS if name not in BESIDE else product((390, 1280), THEMES)):
                page.emulate_media(color_scheme=theme)
                typeset(page)
                assert axe(page) == [], f"{width} px, {theme}"


def test_every_lab_of_a_page_is_alive(page, name):
    resize(page, WIDTHS[0])
    client = page.context.new_cdp_session(page)
    live = "document.querySelectorAll('.explorer.live .vaelib-lab').length"
    page.wait_for_function(f"{live} === {LABS.get(name, 0)}")
    for lab in page.locator(".vaelib-lab").all():
        lab.scroll_into_view_if_needed()
        expect(lab.locator(".readout")).not_to_be_empty()  # a lab draws when it has learned its width, in a later frame
        for hold in lab.locator("input[type=range]").all():
            before = picture(lab)
            for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):  # at an end of the range one way is closed
                hold.press(key)
                if picture(lab) != before:
                    break
            assert picture(lab) != before
        for handle in lab.locator(".handle").all():
            for finger in (None, client):
                before = picture(lab)
                for dx in (30, -60):
                    handle.scroll_into_view_if_needed()
                    box = handle.bounding_box()
                    drag(page, finger, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, dx)
                    if picture(lab) != before:
                        break
                else:  # a handle that only goes up and down
                    handle.focus()
                    page.keyboard.press("ArrowUp")
                assert picture(lab) != before, "touch" if finger else "mouse"


def test_axe_would_find_a_barrier(lessons, visit, axe):
    page = visit(lessons / "glossary.html")
    picture = "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E"
    barriers = f'<img src="{picture}"><p style="color: #ccc; background: #fff">pale</p>'
    page.evaluate("text => document.querySelector('article').insertAdjacentHTML('beforeend', text)", barriers)
    assert {line.split(":")[0] for line in axe(page)} == {"image-alt", "color-contrast"}


def test_search_works_from_a_file(lessons, visit):
    page = visit(lessons / "02_elbo.html")
    field = page.get_by_role("searchbox")
    page.keyboard.press("/")
    assert field.evaluate("e => e === document.activeElement")
    field.type("reparametrisation")  # a slip that the search forgives
    first = page.locator(".found a").first
    expect(page.locator(".found")).to_contain_text("Reparameterisation")  # not the answer to its first letters
    field.fill("Jensen inequality")
    page.wait_for_function("document.querySelector('.found a b')?.textContent.includes('Jensen')")
    assert "02 · The ELBO" in first.inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.length > 1")
    assert "Jensen" in page.evaluate("decodeURIComponent(location.hash)")
    field.fill("xylophone")
    page.wait_for_function("document.querySelector('.found').textContent === 'Nothing found.'")
    page.keyboard.press("Escape")
    assert not page.locator(".found").is_visible()
    entries = json.loads((lessons / "assets" / "search-index.js").read_text("utf-8").split(" = ", 1)[1].rstrip(";\n"))
    assert len({entry["id"] for entry in entries}) == len(entries) > 100


def test_a_link_to_what_is_folded_opens_it(lessons, visit):
    page = visit(lessons / "library.html")
    assert not page.locator("details[open]").count()
    page.evaluate("location.hash = '#vaelib.MixturePrior.log_prob'")
    page.wait_for_function("document.querySelectorAll('article details[open]').length === 1")
    assert page.locator("[id='vaelib.MixturePrior.log_prob'] h4").is_visible()
    field = page.get_by_role("searchbox")
    field.fill("VampPrior")
    page.wait_for_function("document.querySelector('.found a b')?.textContent.includes('VampPrior')")


def test_the_theme_is_the_readers_choice_and_stays(lessons, visit):
    page = visit(lessons / "index.html", color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert (
        page.evaluate(paper)
        == "rgb(22, 22, 22)"
        == page.evaluate("getComputedStyle(document.querySelector('.map rect')).fill")
    )
    page.locator(".lessons a").first.click()
    page.wait_for_url(f"**/{NAMES[0]}.html")  # the page that is left is dark too
    assert page.evaluate(paper) == "rgb(22, 22, 22)"
    page.get_by_role("button", name="Switch to the light theme").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") is None, (
        "back at what the system says: it is followed"
    )
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{paper} === 'rgb(22, 22, 22)'")


def test_a_figure_shows_one_picture_per_theme(lessons, visit):
    page = visit(lessons / "08_modular_vae.html", color_scheme="light")
    twins = page.locator(".dark-theme").count()
    assert twins > 5

    def shown():
        return [page.locator(f".{theme}-theme:visible").count() for theme in ("light", "dark")]

    page.evaluate("document.querySelectorAll('main details').forEach((d) => (d.open = true))")
    assert shown() == [twins, 0]
    page.emulate_media(color_scheme="dark")
    assert shown() == [0, twins]
    page.get_by_role("button", name="Switch to the light theme").click()
    assert shown() == [twins, 0]
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert shown() == [0, twins]
    page.emulate_media(media="print")
    assert shown() == [twins, 0]


def test_what_is_done_stays_in_this_browser(lessons, visit):
    page = visit(lessons / "02_elbo.html")
    done = page.get_by_role("button", name="Mark this lesson as done")
    done.click()
    assert page.locator("button.done").get_attribute("aria-pressed") == "true"
    page.goto((lessons / "index.html").as_uri())
    assert page.locator("tr.is-done").evaluate_all("all => all.map((e) => e.dataset.of)") == ["02_elbo"]


def test_code_can_be_copied_as_it_was_written(lessons, visit, browser):
    page = visit(lessons / "02_elbo.html")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    block = page.locator(".copied").nth(1)
    block.hover()
    block.get_by_role("button", name="Copy this code").click()
    page.wait_for_function("document.querySelectorAll('.copy')[1].textContent === 'Copied'")
    from vaelib.tools.site import find_sources

    cells = find_sources(ROOT / "notebooks", [])[2].content.cells
    written = [cell.source for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    assert page.evaluate("navigator.clipboard.readText()") == written[1].rstrip()


def test_contents_mark_the_section_and_print_opens_the_answers(lessons, visit):
    page = visit(lessons / "02_elbo.html")
    heading = page.locator("article h2").nth(2)
    heading.evaluate("e => e.scrollIntoView()")
    marked = page.locator(".side .sections a[aria-current=location]")
    expect(marked).to_have_attribute("href", "#" + heading.get_attribute("id"))  # with the next frame
    closed = page.locator(".text details:not([open])").count()
    assert closed > 3
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".text details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".text details:not([open])").count() == closed


def test_claims_fold_and_the_glossary_explains(lessons, visit):
    page = visit(lessons / "02_elbo.html")
    chip = page.locator(".cell .claims-chip").first
    assert not chip.locator("li").first.is_visible()
    chip.locator("summary").click()
    assert chip.locator("li").first.is_visible()
    term = page.locator("a.term").first
    term.click()
    page.locator("#elbo:target + dd").wait_for()  # another page: the address is new before it is drawn
    assert page.url.endswith("/glossary.html#elbo")
