"""Notebook 04: break each formula by hand, and see the claim that guards it fail."""

import re

import pytest
from breaking import ClaimError, claims_of, replaced, run_until

from vaelib.theory import divergences, gaussian
from vaelib.widgets import kl_lab

pytestmark = pytest.mark.slow

NOTEBOOK = "04_forward_and_reverse_kl"


def swapped(kl):
    return lambda mu_q, var_q, mu_p, var_p: kl(mu_p, var_p, mu_q, var_q)


def scaled(factor):
    """Put factor times the result in place of the result: a wrong sign, a missing ½."""
    return lambda function: lambda *args, **kwargs: factor * function(*args, **kwargs)


def std_for_var(log_prob):
    return lambda x, mu, log_var: log_prob(x, mu, 0.5 * log_var)


def missing_half(log_prob):
    return lambda x, mu, log_var: log_prob(x, mu, log_var) - 0.5 * gaussian.LOG_2PI


def width_is_variance(fit):
    return lambda target: fit(target)._replace(std=fit(target).std ** 2)


def std_for_var_in_kl(kl):
    return lambda mu_q, var_q, mu_p, var_p: kl(mu_q, var_q**0.5, mu_p, var_p**0.5)


def worst_first(search):
    return lambda target: search(target)[::-1]


def first_only(search):
    return lambda target: search(target)[:1]


def shifted(search):
    return lambda target: [fit._replace(mu=fit.mu + 0.02) for fit in search(target)]


def too_narrow(search):
    return lambda target: [fit._replace(std=0.99 * fit.std) for fit in search(target)]


def other_side(two_modes):
    return lambda separation, weight=0.5: two_modes(separation, 1.0 - weight)


def exchanged(integrands):
    return lambda *args: integrands(*args)[::-1]


def weights_turned(mixture):
    return lambda weights, means, stds: mixture(weights[::-1], means, stds)


BROKEN_FUNCTIONS = [
    # what, name in it, change, the claim that catches it
    (divergences, "forward_kl", lambda _: divergences.reverse_kl, "(1) as a sum equals vaelib's forward KL"),
    (divergences, "reverse_kl", lambda _: divergences.forward_kl, "(2) as a sum equals vaelib's reverse KL"),
    (divergences, "forward_kl", scaled(-1), "forward KL ≥ 0 for 300 random q"),
    (divergences, "reverse_kl", scaled(-1), "reverse KL ≥ 0 for 300 random q"),
    (gaussian, "log_prob_normal", std_for_var, "(2) is the mean of log q/p over draws from q"),
    (gaussian, "log_prob_normal", missing_half, "the mean of q/p under p is 1"),
    (gaussian, "kl_normal", swapped, "(4) equals (1), from N(0, 1) to N(1, 9)"),
    (gaussian, "kl_normal", swapped, "(4) equals (2), from N(1, 9) to N(0, 1)"),
    (gaussian, "kl_normal", scaled(2), "from mean 0 to mean 2: ½ · 2² nats"),
    (gaussian, "kl_normal", std_for_var_in_kl, "(4) equals (1), from N(0, 1) to N(1, 9)"),
    (kl_lab, "integrands", exchanged, "q across the valley: there the forward integrand is below zero"),
    (kl_lab, "integrands", exchanged, "and there the reverse KL collects nearly all its nats"),
    (kl_lab, "integrands", exchanged, "q on the left mode: the forward integrand is highest at the right one"),
    (kl_lab, "integrands", exchanged, "the reverse integrand there is next to nothing"),
    (kl_lab, "Mixture", weights_turned, "at the left mode q is p times 1/(1 − w)"),
    (kl_lab, "two_modes", other_side, "(5): reverse KL of q on one mode"),
    (kl_lab, "two_modes", other_side, "(7): mean of the forward fit"),
    (divergences, "fit_forward", width_is_variance, "(7): variance of the forward fit"),
    (divergences, "fit_forward", width_is_variance, "a blind search ends at the same q"),
    (gaussian, "entropy_normal", scaled(0.5), "what is left is H[q] − H[p]"),
    (divergences.Mixture, "grad_log_prob", scaled(-1), "(8) equals the finite differences"),
    (divergences, "reverse_kl_minima", shifted, "(9): no average slope at any minimum of the reverse KL"),
    (divergences, "reverse_kl_minima", too_narrow, "(9): 1/σ² is the average curvature of −log p"),
    (divergences, "reverse_kl_minima", first_only, "the reverse map has as many as the search found"),
    (divergences, "reverse_kl_minima", worst_first, "no point of the reverse map lies below the best minimum"),
    (gaussian, "kl_full", swapped, "(12): the reverse fit's variances are 1 − ρ²"),
    (gaussian, "kl_full", swapped, "(12): the forward fit's variances are 1"),
    (gaussian, "kl_full", swapped, "the vermillion circle meets the ellipse on both axes"),
    (gaussian, "kl_full", swapped, "the purple circle is as wide as the ellipse's shadow on either axis"),
    (gaussian, "kl_full", scaled(2), "(12): the smallest reverse KL is −½ log(1 − ρ²)"),
]  # fmt: skip

BROKEN_CODE = [
    # a piece of the notebook's code, a wrong one in its place, the claim that catches it
    ("(log_q - log_p), x)", "(log_p - log_q), x)", "(2) is the mean of log q/p over draws from q"),
    ("np.log(std**2))\n\nforward", "np.log(std))\n\nforward", "(1) as a sum equals vaelib's forward KL"),
    ("    1 / (1 - 0.4),\n", "    1 / 0.4,\n", "at the left mode q is p times 1/(1 − w)"),
    ("-np.log(1 - w)", "-np.log(w)", "(5): reverse KL of q on one mode"),
    ("w * far**2 / 2", "w * far**2", "(5): forward KL of q on one mode"),
    ("/ (2 * some_std**2)", "/ some_std**2", "(6) for 300 random q"),
    ("    -H\n", "    H\n", "(6) for 300 random q"),
    ("2 * np.pi * some_std**2", "2 * np.pi * some_std", "(6) for 300 random q"),
    ("H_fit - H", "H - H_fit", "what is left is H[q] − H[p]"),
    ("-1 / std\n", "1 / std\n", "(8) equals the finite differences"),
    ("            - mean_under_q", "            + mean_under_q", "(8) equals the finite differences"),
    ("1 / fit.std**2 for", "1 / fit.std for", "(9): 1/σ² is the average curvature of −log p"),
    ("centre[:, 1] ** -2", "centre[:, 1] ** -1", "the middle fit's curvature in μ is 1/σ², at every separation"),
    ("(target.log_prob(z) + log_scale)", "(1 + log_scale) * target.log_prob(z)", "(10): and it is the reverse fit"),
    ("scaled.fun + log_Z", "scaled.fun - log_Z", "(10): the objective falls short of the KL by log Z"),
    ("circle = 2 *", "circle = 3 *", "the purple circle is as wide as the ellipse's shadow on either axis"),
    ("minor, major =", "major, minor =", "it bulges out of the narrow side and falls short of the long one"),
    ("major = 2 *", "major = 1 *", "and leaves its tips outside"),
    ("[1 - rhos**2]", "[1 - rhos]", "(12): the reverse fit's variances are 1 − ρ²"),
    ("-0.5 * np.log(1 - rhos**2)", "-np.log(1 - rhos**2)", "(12): the smallest reverse KL is −½ log(1 − ρ²)"),
    ("    1 / np.diag(precision),\n", "    np.diag(cov),\n", "(11): reverse fit in four dimensions"),
]  # fmt: skip

# What takes long and matters only to the claims about it.
SEPARATION = ("centre_and_side", "apart", "appears", "forward_map", "steps_apart", "off_reverse")
WITHOUT_SEPARATION = ("(10)", "(11)", "(12)", "the vermillion circle", "it bulges", "the purple circle", "and leaves")
SHORTER = {"np.linspace(0.5, 9, 23)": "np.linspace(5, 7, 3)", "high - low > 0.01": "high - low > 0.2"}


def run(claim, source=None):
    if claim.startswith(WITHOUT_SEPARATION):
        run_until(NOTEBOOK, claim, source=source, without=SEPARATION)
    else:
        run_until(NOTEBOOK, claim, source={**SHORTER, **(source or {})})


@pytest.mark.parametrize(
    ("target", "name", "change", "claim"), BROKEN_FUNCTIONS, ids=[f"{row[1]}: {row[3]}" for row in BROKEN_FUNCTIONS]
)
def test_a_broken_function_is_caught(target, name, change, claim):
    with replaced(target, name, change), pytest.raises(ClaimError, match=re.escape(claim)):
        run(claim)


@pytest.mark.parametrize(("right", "wrong", "claim"), BROKEN_CODE, ids=[f"{row[1]}: {row[2]}" for row in BROKEN_CODE])
def test_a_broken_line_is_caught(right, wrong, claim):
    with pytest.raises(ClaimError, match=re.escape(claim)):
        run(claim, {right: wrong})


@pytest.mark.parametrize("parameters", [{"separation": 3.0, "weight": 0.2}, {"separation": 8.0, "weight": 0.5}])
def test_every_claim_holds_for_other_targets(parameters):
    made, failed = claims_of(NOTEBOOK, parameters=parameters, source=SHORTER)
    assert len(set(made)) == len(made) >= 13
    assert failed == []
