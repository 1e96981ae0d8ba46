"""The lab of diffusion in Python: its numbers against the theory of lesson 20, and its still picture."""

import numpy as np
import pytest

from vaelib.theory.denoising import RoundMixture
from vaelib.theory.diffusion import knots_schedule, normal_bound
from vaelib.widgets import diffusion_lab
from vaelib.widgets.diffusion_lab import BUMPS, COUNTS, MIDDLE, NORMAL, NUM_KNOTS, WIDTH_SQUARE, DiffusionLab

LEVELS = (1.7, 1.5, 0.2, 0.0, -1.0, -1.8)
TWO = RoundMixture([0.5, 0.5], [[-MIDDLE], [MIDDLE]], [WIDTH_SQUARE**0.5] * 2)


@pytest.fixture
def lab():
    made = DiffusionLab()
    yield made
    made.close()


def at(levels, **values):
    return {**{f"knot_{k}": level for k, level in enumerate(levels)}, **values}


@pytest.mark.parametrize("data", [NORMAL, BUMPS])
def test_the_bound_is_that_of_the_theory(lab, data):
    now = lab.numbers(**at(LEVELS, data=data, log_layers=np.log10(12)))
    snr = knots_schedule(np.log(10) * np.array(LEVELS)).snr(12)
    bound = TWO.bound(snr) if data == BUMPS else normal_bound(snr)
    np.testing.assert_allclose(now["heights"] / 12, bound.layers, rtol=1e-9)
    for name in ("reconstruction", "diffusion", "prior", "total", "evidence"):
        assert now[name] == pytest.approx(getattr(bound, name), abs=1e-10)
    assert now["limit"] == pytest.approx(bound.evidence + (TWO.end_gap(snr[-1]) if data == BUMPS else 0), abs=1e-10)


@pytest.mark.parametrize("data", [NORMAL, BUMPS])
def test_many_layers_come_to_the_limit_under_its_curve(lab, data):
    now = lab.numbers(**at(LEVELS, data=data))
    area = np.trapezoid(now["density"].reshape(NUM_KNOTS - 1, -1), dx=0.2 / 20, axis=1).sum()
    assert now["reconstruction"] + area + now["prior"] == pytest.approx(now["limit"], abs=0.01)  # the trapezoids' own
    assert np.all(np.diff(now["gaps"]) < 0) and now["gaps"][-1] < 0.02
    one = lab.numbers(**at(LEVELS, data=data, log_layers=np.log10(16)))
    assert one["total"] - one["evidence"] == pytest.approx(now["gaps"][COUNTS.index(16)], abs=1e-10)


def test_levels_that_do_not_fall_are_pushed_down(lab):
    now = lab.numbers(**at((1.0, 2.0, 0.5, 0.6, 0.6, -2.0)))
    np.testing.assert_allclose(now["levels"], [1.0, 0.98, 0.5, 0.48, 0.46, -2.0])
    assert np.all(now["heights"] > 0)


def test_the_still_picture_shows_the_numbers(lab):
    values = at(LEVELS, log_layers=np.log10(8))
    now, axes = lab.numbers(**values), lab.figure(**values).axes
    schedule, layers, gap, bound = (
        next(ax for ax in axes if ax.get_title(loc="left").startswith(title) or ax.get_xlabel() == label)
        for title, label in (("the schedule", "-"), ("KL of", "-"), ("-", "T"), ("T = 8", "-"))
    )
    assert schedule.lines[0].get_ydata() == pytest.approx(now["levels"])
    assert layers.lines[0].get_ydata() == pytest.approx(now["density"])
    assert gap.lines[1].get_ydata() == pytest.approx(now["gaps"])
    assert bound.patches[0].get_width() == pytest.approx(now["total"])


def test_tops_hold_what_is_shown():
    assert [diffusion_lab.top_of(nats) for nats in (0.5, 3.0, 49.5, 1e5)] == [1, 5, 50, 2000]


@pytest.mark.parametrize("start", [{"data": "three"}, {"layers": 2000}, {"knots": (9, 1, 0, -1, -2, -3)}])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(ValueError, match="received"):
        DiffusionLab(**start)
