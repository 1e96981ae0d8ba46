"""Wake-sleep against enumeration by loops, finite differences and draws."""

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit

from vaelib.theory.wake_sleep import HelmholtzMachine, TwoCauses, bars, walk

TOY = TwoCauses()
Q = np.array([0.8, 0.3])


def softened():
    """Two causes whose states are all likely: nothing hides in a rounding error."""
    return TwoCauses(-1.0, 2.0, -1.5)


def test_the_known_example():
    np.testing.assert_allclose(TOY.posterior, [4.5e-5, 0.499955, 0.499955, 4.5e-5], atol=5e-7)
    assert TOY.wake(np.array([1 - 1e-9, 1e-9])) == pytest.approx(np.log(2), abs=2e-4)
    assert TOY.wake(np.array([0.5, 0.5])) == pytest.approx(3.9604, abs=5e-5)


@pytest.mark.parametrize("toy", [TOY, softened()])
def test_both_losses_are_sums_over_the_states(toy):
    states = [(0, 0), (1, 0), (0, 1), (1, 1)]
    q = np.array([np.prod([p if on else 1 - p for p, on in zip(Q, state, strict=True)]) for state in states])
    np.testing.assert_allclose(toy.probabilities(Q), q)
    assert toy.wake(Q) == pytest.approx(np.sum(q * np.log(q / toy.posterior)), abs=1e-12)
    assert toy.sleep(Q) == pytest.approx(np.sum(toy.posterior * np.log(toy.posterior / q)), abs=1e-12)


@pytest.mark.parametrize("toy", [TOY, softened()])
@pytest.mark.parametrize("name", ["wake", "sleep"])
def test_gradients_are_differences(toy, name):
    loss, a = getattr(toy, name), logit(Q)
    slopes = [(loss(expit(a + e)) - loss(expit(a - e))) / 2e-6 for e in 1e-6 * np.eye(2)]
    np.testing.assert_allclose(getattr(toy, f"{name}_gradient")(Q), slopes, atol=1e-7)


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_the_reweighted_gradient_is_that_of_all_draws(num):
    toy, total = softened(), np.zeros(2)
    chance, w = toy.probabilities(Q), toy.posterior / toy.probabilities(Q)
    for drawn in itertools.product(range(4), repeat=num):
        drawn = list(drawn)
        share = w[drawn] / w[drawn].sum()
        total += np.prod(chance[drawn]) * share @ (Q - toy.states[drawn])
    np.testing.assert_allclose(toy.reweighted_gradient(Q, num), total, atol=1e-12)


def test_many_draws_come_to_the_sleep_gradient():
    for toy in (TOY, softened()):
        np.testing.assert_allclose(toy.reweighted_gradient(Q, 10**7), toy.sleep_gradient(Q), atol=1e-4)


def test_a_walk_goes_down_its_own_loss():
    for name in ("wake", "sleep"):
        way = walk(getattr(TOY, f"{name}_gradient"), [0.9, 0.2], 50, 0.5)
        assert way.shape == (51, 2) and np.all(np.diff(getattr(TOY, name)(way)) < 0)
    assert np.all(np.isfinite(walk(TOY.wake_gradient, [0.999, 0.001], 3, 1e6)))


# Helmholtz machines


@pytest.fixture(scope="module")
def machine():
    return HelmholtzMachine((3, 2, 2), np.random.default_rng(0), 1.0)


def bernoulli(states, logits):
    return np.prod(np.where(states > 0, expit(logits), expit(-logits)))


def joint(machine, x, h1, h2):
    """(p, q) of one state of all layers, by loops over nothing but its own units."""
    (w0, c0), (w1, c1) = machine.generative
    (r0, d0), (r1, d1) = machine.recognition
    p = bernoulli(h2, machine.top) * bernoulli(h1, w1 @ h2 + c1) * bernoulli(x, w0 @ h1 + c0)
    return p, bernoulli(h1, r0 @ x + d0) * bernoulli(h2, r1 @ h1 + d1)


def test_marginals_and_free_energies_are_sums_over_all_states(machine):
    xs, h1s, h2s = machine.states
    for i, x in enumerate(xs):
        pairs = np.array([joint(machine, x, h1, h2) for h1 in h1s for h2 in h2s])
        assert machine.marginals()[0][i] == pytest.approx(pairs[:, 0].sum(), abs=1e-12)
        assert pairs[:, 1].sum() == pytest.approx(1)
        expected = np.sum(pairs[:, 1] * np.log(pairs[:, 1] / pairs[:, 0]))
        assert machine.free_energies()[i] == pytest.approx(expected, abs=1e-12)
    assert np.all(machine.free_energies() >= -np.log(machine.marginals()[0]))


DATA = np.array([0.3, 0.0, 0.2, 0.1, 0.0, 0.1, 0.25, 0.05])


def dreams(machine):
    """The sleep phase's loss, −E log q(h|x) over all dreams."""
    total = 0.0
    for x, h1, h2 in itertools.product(*machine.states):
        p, q = joint(machine, x, h1, h2)
        total -= p * np.log(q)
    return total


def surprise(machine):
    """−E log p(x) over the data, from all states."""
    return -sum(
        share * np.log(sum(joint(machine, x, h1, h2)[0] for h1 in machine.states[1] for h2 in machine.states[2]))
        for share, x in zip(DATA, machine.states[0], strict=True)
    )


def from_posterior(machine):
    """A function of a machine: −E log q(h|x) over the data and the posterior of the one given here."""
    shares = []
    for share, x in zip(DATA, machine.states[0], strict=True):
        p = np.array([joint(machine, x, h1, h2)[0] for h1 in machine.states[1] for h2 in machine.states[2]])
        shares += [*(share * p / p.sum())]
    return lambda moved: (
        -sum(
            share * np.log(joint(moved, *states)[1])
            for share, states in zip(shares, itertools.product(*moved.states), strict=True)
        )
    )


@pytest.mark.parametrize(
    ("weights", "gradient", "loss"),
    [
        ("generative", lambda m: m.wake_gradient(DATA)[0], lambda m: m.free_energy(DATA)),
        ("recognition", lambda m: m.sleep_gradient(), dreams),
        ("recognition", lambda m: m.free_energy_gradient(DATA), lambda m: m.free_energy(DATA)),
        ("generative", lambda m: m.reweighted_gradient(DATA)[0], surprise),
        ("recognition", lambda m: m.reweighted_gradient(DATA)[2], lambda m: from_posterior(m)(m)),
    ],
    ids=["wake", "sleep", "free energy", "reweighted, for p", "reweighted, for q"],
)
def test_gradients_of_a_machine_are_differences(machine, weights, gradient, loss):
    found, rng = gradient(machine), np.random.default_rng(1)
    for n, pair in enumerate(getattr(machine, weights)):
        for values, slope in zip(pair, found[n], strict=True):
            direction, ends = rng.standard_normal(values.shape), []
            for sign in (1, -1):
                values += sign * 1e-5 * direction
                ends.append(loss(machine))
                values -= sign * 1e-5 * direction
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(np.sum(direction * slope), abs=1e-8)


@pytest.mark.parametrize(
    ("gradient", "loss"),
    [
        (lambda m: m.wake_gradient(DATA)[1], lambda m: m.free_energy(DATA)),
        (lambda m: m.reweighted_gradient(DATA)[1], surprise),
    ],
    ids=["wake", "reweighted"],
)
def test_the_tops_biases_have_their_gradient(machine, gradient, loss):
    found, ends = gradient(machine), []
    for sign in (1, -1):
        machine.top[0] += sign * 1e-5
        ends.append(loss(machine))
        machine.top[0] -= sign * 1e-5
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(found[0], abs=1e-8)


@pytest.mark.parametrize("teacher", ["sleep", "free energy", "reweighted"])
def test_a_step_goes_down_its_gradients(teacher):
    machine, data = HelmholtzMachine((4, 3, 1), np.random.default_rng(2), 0.5), bars(2)
    below, top = machine.wake_gradient(data)
    above = machine.sleep_gradient() if teacher == "sleep" else machine.free_energy_gradient(data)
    if teacher == "reweighted":
        below, top, above = machine.reweighted_gradient(data)
    before = [*machine.generative, *machine.recognition]
    biases, reached = machine.top, []
    machine.step(data, 0.1, teacher)
    for old, new, slope in zip(before, [*machine.generative, *machine.recognition], below + above, strict=True):
        for one, two, gradient in zip(old, new, slope, strict=True):
            np.testing.assert_allclose(two, one - 0.1 * gradient)
    np.testing.assert_allclose(machine.top, biases - 0.1 * top)
    for _ in range(20):
        reached.append((machine.free_energy(data), machine.kl_from(data)))
        machine.step(data, 0.1, teacher)
    # Sleep promises nothing; the ELBO its own loss; the reweighted step that of the model.
    promised = {"sleep": [], "free energy": [0], "reweighted": [1]}[teacher]
    assert np.all(np.diff(reached, axis=0)[:, promised] < 0)


def test_bars():
    data = bars(3)
    assert data.sum() == pytest.approx(1) and (data > 0).sum() == 14
    assert -np.sum(data[data > 0] * np.log(data[data > 0])) == pytest.approx(0.75 * np.log(16) + 0.25 * np.log(8))
    row = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0]) @ 2 ** np.arange(9)
    column = np.array([1, 0, 0, 1, 0, 0, 1, 0, 0]) @ 2 ** np.arange(9)
    assert data[row] == data[column] == pytest.approx(1 / 16)


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"12 and 10 units have 2\^22 pairs of states .* the limit is 1,048,576"):
        HelmholtzMachine((12, 10), rng)
    with pytest.raises(ValueError, match=r"13 hidden units have 2\^13 states"):
        HelmholtzMachine((13, 2), rng)
    with pytest.raises(ValueError, match="at least two layers"):
        HelmholtzMachine((3,), rng)
    with pytest.raises(ValueError, match="a probability for each of the 16 states"):
        HelmholtzMachine((4, 2), rng).step(bars(3), 1.0)
    with pytest.raises(ValueError, match="teacher must be one of sleep, free energy, reweighted; received 'dreams'"):
        HelmholtzMachine((4, 2), rng).step(bars(2), 1.0, "dreams")
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        TOY.wake(np.array([1.0, 0.5]))
