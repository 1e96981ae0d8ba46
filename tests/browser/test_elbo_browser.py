"""The ELBO lab's picture is the mathematics: bars as long as their numbers, q's peak at its mean."""

import numpy as np
import pytest
from scipy.stats import norm
from widget_page import settle

from vaelib.theory.toy_models import LinearGaussian
from vaelib.widgets.elbo_lab import ElboLab


@pytest.fixture
def lab():
    made = ElboLab(LinearGaussian(1.2, 0.5, 0.8), [2.5])
    yield made
    made.close()


def put(page, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", values)
    settle(page)


def heights(page, plot, colour):
    found = page.locator(f"#lab svg.plot >> nth={plot}").locator(f"rect[fill='var(--{colour})']")
    return [float(bar.get_attribute("height")) for bar in found.all()]


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (1.15, 0.55), (2.0, 0.3), (-0.5, 1.5)])
def test_bars_are_as_long_as_their_numbers(open_page, lab, mu, sigma):
    page = open_page(lab=lab)
    put(page, mu=mu, sigma=sigma)
    now = lab.numbers(mu=mu, sigma=sigma)
    (gap,), (kl,) = heights(page, 1, "vermillion"), heights(page, 1, "grey")
    below, same = heights(page, 1, "sky")
    per_nat = below / (now["elbo"] - lab.floor)
    assert same == pytest.approx(below)
    assert (gap, kl) == pytest.approx((now["gap"] * per_nat, now["kl"] * per_nat), abs=1e-6)
    (zoomed,) = heights(page, 2, "vermillion")
    assert zoomed / gap == pytest.approx((lab.top - lab.floor) / (1.12 * 0.5))  # half a nat, and room above it


def test_dragging_the_peak_to_the_posteriors_mean_closes_the_gap(open_page, lab):
    page = open_page(lab=lab)
    put(page, mu=0.0, sigma=0.55)
    peak = page.locator("#lab .handle").first
    box = peak.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    (mean,), _ = lab.model.posterior(lab.x)
    # One unit of z in CSS pixels, from the handles of the peak and of the flank, which is σ away.
    other = page.locator("#lab .handle").nth(1).bounding_box()
    unit = (other["x"] + other["width"] / 2 - x) / 0.55
    before = page.evaluate("window.pads.lab.model.get('values').mu")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + mean * unit, y, steps=8)
    page.mouse.up()
    settle(page)
    mu = page.evaluate("window.pads.lab.model.get('values').mu")
    assert (before, mu) == (0.0, pytest.approx(mean, abs=0.02))
    assert lab.numbers(mu=mu, sigma=0.55)["gap"] < 0.01


def test_hovering_tells_the_integrands(open_page, lab):
    page = open_page(lab=lab)
    box = page.locator("#lab svg.plot").first.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 100)
    settle(page)
    said = page.locator("#lab .hovered").inner_text()
    z, density = (float(text.replace("\N{MINUS SIGN}", "-")) for text in (said[2:].split(":")[0], said.split()[3][:-1]))
    assert density == pytest.approx(norm.pdf(z), abs=0.002)  # z is told to two places
    assert np.isfinite(density) and "nats per unit of z" in said
