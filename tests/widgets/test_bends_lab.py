"""The bends lab in Python: its numbers against PlanarChain, PlanarFlow's constraint, draws, and known folds."""

import numpy as np
import pytest

from vaelib.theory.divergences import Mixture
from vaelib.theory.flows import PlanarChain, square_posterior
from vaelib.theory.gaussian import log_prob_normal
from vaelib.theory.quadrature import even_grid, normal_trapezoid
from vaelib.widgets.bends_lab import EDGES, ONE, REACH, TWO, BendsLab, collect, mean_log

FINE = even_grid(-7.0, 7.0, 2e-4)
TARGETS = {TWO: square_posterior(1.0, 0.3), ONE: Mixture([1.0], [0.0], [1.0])}


@pytest.fixture
def lab():
    made = BendsLab()
    yield made
    made.close()


def places(lab, num, seed=0):
    """Random values of all controls."""
    rng = np.random.default_rng(seed)
    all_values = {name: control.positions(1000) for name, control in lab.controls.items()}
    for _ in range(num):
        yield {name: values[rng.integers(len(values))] for name, values in all_values.items()}


def chain_of(now, values):
    bends = [[values[f"{part}_{name}"] for name in "ab"] for part in ("steep", "place")]
    return PlanarChain(now["slopes"], *bends, 0.0, values["sigma"])


def test_where_nothing_folds_the_reported_kl_is_the_exact_one(lab):
    for values in places(lab, 60):
        values = {**values, "constrained": True}
        now = lab.numbers(**values)
        chain = chain_of(now, values)
        assert not chain.folds and now["layers"].max() <= 1
        z, log_slope = chain.forward(FINE)
        log_p = lab.log_target(values["target"], z)
        exact = normal_trapezoid(FINE) @ (log_prob_normal(FINE, 0.0, 0.0) - log_slope - log_p)
        assert now["reported"] == pytest.approx(exact, abs=1e-3, rel=1e-3), values
        # Bins know less than the density: their KL lies below, and close.
        assert -1e-9 < now["drawn"] < exact + 1e-3


def test_a_fold_s_reported_kl_is_the_mean_over_draws(lab):
    folding, rng = 0, np.random.default_rng(1)
    for values in places(lab, 30, seed=2):
        values = {**values, "constrained": False}
        now = lab.numbers(**values)
        chain, eps = chain_of(now, values), rng.standard_normal(200_000)
        eps = eps[np.abs(eps) < REACH]
        z, log_slope = chain.forward(eps)
        terms = -0.5 * eps**2 - 0.5 * np.log(2 * np.pi) - log_slope - lab.log_target(values["target"], z)
        assert abs(terms.mean() - now["reported"]) < 5 * terms.std() / np.sqrt(len(eps)) + 2e-3
        found = np.histogram(z, EDGES)[0] / len(eps)
        share = now["q"] * (EDGES[1] - EDGES[0])
        assert np.all(np.abs(found - share) < 5 * np.sqrt(share / len(eps)) + 2e-4)
        folding += chain.folds
    assert folding > 10


def test_the_constraint_is_that_of_the_planar_flow(lab):
    """Against vaelib.PlanarFlow in one dimension, where u w is the slope."""
    keras = pytest.importorskip("keras")
    from vaelib.model.flows import PlanarFlow

    z = np.linspace(-2, 2, 9).astype("float32")[:, None]
    for push, steep, place in ((-1.5, 30.0, 0.2), (-0.4, 3.0, -0.5), (0.8, 10.0, 0.0)):
        now = lab.numbers(place_a=place, push_a=push, steep_a=steep, push_b=0.0)
        params = np.array([push, steep, -steep * place], "float32")
        moved, _ = PlanarFlow().forward(keras.ops.convert_to_tensor(z), params)
        by_lab = z + now["slopes"][0] / steep * np.tanh(steep * (z - place))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(moved), by_lab, atol=1e-4)
        assert now["slopes"][0] > -1 and now["slopes"][1] == pytest.approx(0, abs=1e-12)


def test_one_bend_and_two_come_close_to_the_two_modes_and_a_fold_goes_below_zero(lab):
    nothing = dict(push_b=0.0, place_b=0.0)
    one = lab.numbers(place_a=0, push_a=0.8, steep_a=30.0, sigma=0.21, **nothing)
    assert one["reported"] == pytest.approx(0.1123, abs=1e-3) and lab.best_normal == pytest.approx(0.7231, abs=1e-4)
    bends = dict(place_a=0, push_a=0.3, steep_a=15.7, place_b=0, push_b=0.6, steep_b=30.0)
    two = lab.numbers(sigma=0.17, **bends)
    assert 0 < two["reported"] < 0.02
    fold = dict(place_a=0, push_a=-1.3, steep_a=16.6, sigma=0.37, **nothing)
    folded = lab.numbers(constrained=False, **fold)
    assert folded["reported"] == pytest.approx(-0.168, abs=2e-3)
    assert folded["layers"].max() == 3 and folded["drawn"] > 0.2
    assert lab.numbers(constrained=True, **fold)["reported"] > 0
    against_normal = lab.numbers(constrained=False, target=ONE, place_a=0, push_a=-0.5, steep_a=30, sigma=1, **nothing)
    assert against_normal["reported"] < -0.3


def test_the_mean_of_a_logarithm_over_a_cell():
    fine = np.linspace(0, 1, 2_000_001)[:-1] + 2.5e-7
    for start, end in ((1, 1.01), (1, 1.2), (0.5, -0.3), (-2, 3), (1e-3, 1e-3), (0.0, 0.4)):
        expected = np.mean(np.log(np.abs(start + (end - start) * fine)))
        assert mean_log(np.array([start, end], float))[0] == pytest.approx(expected, abs=1e-5)


def test_bins_hold_what_falls_into_them_and_what_falls_outside():
    bins, layers = collect(np.array([-4.0, -2.0, 0.0, -1.0]), np.array([0.25, 0.5, 0.25]))
    assert bins[0] == pytest.approx(0.125) and bins[-1] == 0 and bins.sum() == pytest.approx(1)
    middles = 0.5 * (EDGES[1:] + EDGES[:-1])
    assert np.all(layers[(middles > -1) & (middles < 0)] == 2) and np.all(layers[middles > 0] == 0)
    assert bins[1:-1][(middles > -1) & (middles < 0)].sum() == pytest.approx(0.5)


def test_the_targets_shares_are_their_probabilities(lab):
    for name, shares in lab.shares.items():
        assert shares.sum() == pytest.approx(1, abs=1e-6)
        middles = 0.5 * (EDGES[1:] + EDGES[:-1])
        density = np.exp(TARGETS[name].log_prob(middles)) * (EDGES[1] - EDGES[0])
        np.testing.assert_allclose(shares[1:-1], density, rtol=0.05, atol=1e-6)


def test_the_still_picture_shows_the_numbers(lab):
    now = lab.numbers()
    left, _, right = lab.figure().axes
    assert left.lines[0].get_ydata() == pytest.approx(now["z"])
    assert [bar.get_height() for bar in right.patches] == pytest.approx([now["reported"], now["drawn"]])
    lab.figure(constrained=False, push_a=-1.3, steep_a=16.0)


@pytest.mark.parametrize("start", [{"target": "three modes"}, {"constrained": 1}])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(ValueError, match="received"):
        BendsLab(**start)
