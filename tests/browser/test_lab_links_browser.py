"""A lab's state in the page's address, which only a page of the site has; and many labs one after the other."""

import pytest
from labs import LABS
from widget_page import settle

# What the site has and the tests' plain page lacks: its mark, and a home with an id for each lab.
AS_ON_THE_SITE = """async (hash) => {
  window.pads.lab.cleanup();
  document.documentElement.dataset.host = "vaelib-site";
  const el = document.getElementById("lab");
  el.className = "explorer";
  location.hash = hash;
  window.pads.lab.cleanup = (await import("/lab.js")).default.render({ model: window.pads.lab.model, el });
}"""


@pytest.fixture
def lab():
    made = LABS["elbo_linear"]()
    yield made
    made.close()


def values(page):
    return page.evaluate("window.pads.lab.model.get('values')")


def test_a_link_brings_the_state_back(open_page, lab):
    page = open_page(lab=lab)
    assert page.get_by_role("button", name="Copy link").count() == 0  # a notebook has no address to share
    page.evaluate(AS_ON_THE_SITE, "#lab?mu=0.75&sigma=0.5")
    settle(page)
    assert values(page) == {"mu": 0.75, "sigma": 0.5}
    page.locator("#lab .handle").first.press("ArrowRight")
    settle(page)
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("document.querySelector('#lab .status').textContent !== ''")
    assert page.evaluate("location.hash") == "#lab?mu=0.8&sigma=0.5"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("#lab?mu=99&sigma=0.5", {"mu": 2.5, "sigma": 0.5}),  # at the end of its range
        ("#lab?mu=abc&nu=1", {"mu": 0.0, "sigma": 1.0}),  # what is no value is left out
        ("#lab", {"mu": 0.0, "sigma": 1.0}),
        ("#other?mu=1", {"mu": 0.0, "sigma": 1.0}),  # another lab's
        ("#a-heading", {"mu": 0.0, "sigma": 1.0}),
    ],
)
def test_an_address_that_says_something_else_does_no_harm(open_page, lab, address, expected):
    page = open_page(lab=lab)
    page.evaluate(AS_ON_THE_SITE, address)
    settle(page)
    assert values(page) == expected


def test_fifty_labs_in_a_row_leave_nothing(open_page, lab):
    page = open_page(lab=lab)
    left = page.evaluate(
        """async () => {
          // Whatever a lab listens to beyond its own elements, counted; its own go with them.
          let listening = 0;
          for (const target of [window, document, document.body, document.documentElement]) {
            const { addEventListener } = target;
            target.addEventListener = function (event, listener, options) {
              listening++;
              options?.signal?.addEventListener("abort", () => listening--);
              return addEventListener.call(this, event, listener, options);
            };
          }
          const { default: widget } = await import("/lab.js");
          const { model } = window.pads.lab;
          const before = [model.listeners.length, document.querySelectorAll("*").length];
          for (let i = 0; i < 50; i++) {
            const el = document.body.appendChild(document.createElement("div"));
            const close = widget.render({ model, el });
            await window.frames_(2);
            close();
            el.remove();
          }
          return { before, after: [model.listeners.length, document.querySelectorAll("*").length], listening };
        }"""
    )
    assert left["after"] == left["before"]
    assert left["listening"] == 0
