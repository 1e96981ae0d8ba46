"""Notebook 06 claims what it shows: break a formula, and the claim that guards it fails."""

import numpy as np
import pytest
from breaking import ClaimError, code, function, needless, replaced, run_until, scaled, shifted
from forking import Case, runs_of

from vaelib.theory import gaussian

pytestmark = pytest.mark.slow

NOTEBOOK = "06_closed_form_kl"
FASTER = {
    "parameters": {"num_samples": 40_000},
    "without": ("2 * errors, **dots", "draw_posteriors(ax"),
}
# Slow cells, by a piece of their code, and what their claims begin with: left out when they are not what is broken.
SLOW = {
    "sp.symbols(": ("SymPy", "(2)", "(4)", "vaelib's kl_normal", "the innermost", "and in the limit", "too wide costs"),
    "def gradients(": ("the chain rule", "the encoder", "after", "before", "most ellipses", "at the end"),
    "def guess_is_right(": ("after", "before", "the chain rule", "the encoder", "most ellipses", "at the end"),
}


def swapped(original):
    """KL(p ‖ q) where KL(q ‖ p) belongs."""
    return lambda mu_q, spread_q, mu_p, spread_p: original(mu_p, spread_p, mu_q, spread_q)


def swapped_with_prior(original):
    """KL(N(0, 1) ‖ q) where KL(q ‖ N(0, 1)) belongs."""
    return lambda mu, log_var: gaussian.kl_normal(0.0, 1.0, mu, np.exp(log_var))


def std_for_variance(original):
    """σ where σ² belongs, in the one place where it is exponentiated."""
    return lambda mu, log_var: 0.5 * (np.square(mu) + np.exp(0.5 * np.asarray(log_var)) - 1 - log_var)


def std_for_variance_diagonal(original):
    def kl_diagonal(mu_q, log_var_q, mu_p, log_var_p):
        return original(mu_q, 0.5 * np.asarray(log_var_q), mu_p, 0.5 * np.asarray(log_var_p))

    return kl_diagonal


def gradient_without_half(original):
    return lambda mu, log_var: (original(mu, log_var)[0], 2 * original(mu, log_var)[1])


def mean_as_slow_as_the_width(original):
    return lambda mu, log_var, time: (mu * np.exp(-0.5 * time), original(mu, log_var, time)[1])


ALIKE = "with p's variances a diagonal q pays ½ log(1 − ρ²) + ρ²/(1 − ρ²)"
ROUTES = ["closed form = Monte Carlo, within its error", "closed form = quadrature"]
BELOW = "the other two: below −104, σ² is 0 and the KL infinite"
SLOPES = {name: f"(9) {name} head: the slope" for name in ("log σ²", "σ", "softplus")}

# What is broken: how, and the claims that catch it, in the notebook's order.
BROKEN = {
    "SymPy: the density is not normalised": (
        code("return -sp.log(2 * sp.pi) / 2", "return -sp.log(sp.pi) / 2"),
        ["SymPy: E[1], E[ε] and E[ε²]", "SymPy: (1) minus (4) is zero for all μ and σ"],
    ),
    "SymPy: ½ left out": (
        code("/ s_p**2 - 1) / 2", "/ s_p**2 - 1)"),
        ["SymPy: (1) minus (4) is zero for all μ and σ", "SymPy: the gradient (10)", "SymPy: the Hessian (10)"],
    ),
    "(2): σ_p and σ_q exchanged": (
        code("np.log(sigma_p / sigma_q) + squares", "np.log(sigma_q / sigma_p) + squares"),
        ["(2) is the difference of two log-densities"],
    ),
    "(3): σ for σ²": (
        code("moved = sigma_q**2 +", "moved = sigma_q +"),
        ["(4) is the integral (1)", "vaelib's kl_normal is (4)", "the area under the curve is (4)"],
    ),
    "(4): ½ left out": (
        code("return 0.5 * (np.log(sigma_p**2", "return (np.log(sigma_p**2"),
        [
            "(4) is the integral (1)",
            "(6) with diagonal matrices is the sum (7)",
            "(12) else it pays for KL(q(z)‖p(z)) as well",
            "answer 1: KL(p‖q) and KL(q‖p) at σ = 0.1",
        ],
    ),
    "kl_normal: arguments swapped": (function(gaussian, "kl_normal", swapped), ["vaelib's kl_normal is (4)"]),
    "the picture of the integrand: arguments swapped": (
        code("integrand = np.exp(log_q) * (log_q - log_p)", "integrand = np.exp(log_q) * (log_p - log_q)"),
        [
            "the area under the curve is (4)",
            "more of it lies above zero than below",
            "nearly all of the dip is on the left",
        ],
    ),
    "(5): Σ_p and Σ_q exchanged": (
        code("np.trace(inverse @ cov_q)", "np.trace(inverse @ cov_p)"),
        ["(5) the quadratic form brings a trace"],
    ),
    "kl_full: arguments swapped": (
        function(gaussian, "kl_full", swapped),
        [
            "(6) is the mean of log q − log p",
            "(6) with diagonal matrices is the sum (7)",
            ALIKE,
            "with 1 − ρ² it pays −½ log(1 − ρ²)",
            "none of 300 other diagonal q pays less at ρ = 0.99",
            "that is KL(joint‖product of margins)",
            "(13) is the KL of the joint from the margins",
        ],
    ),
    "a diagonal q that is too wide": (
        code("kl_of_centred(np.eye(2), p) for", "kl_of_centred(2 * np.eye(2), p) for"),
        [ALIKE, "at ρ = 0.5 either is less than 0.2 nats"],
    ),
    "the mutual information: arguments swapped": (
        code("kl_of_centred(p, np.eye(2)) for", "kl_of_centred(np.eye(2), p) for"),
        ["that is KL(joint‖product of margins)"],
    ),
    "a q as narrow as the ridge": (
        code("z = rng.standard_normal((100_000, 2))", "z = 0.1 * rng.standard_normal((100_000, 2))"),
        ["most of q lies outside of the ellipse that holds 99.9 % of p"],
    ),
    "kl_diagonal: σ for σ²": (
        function(gaussian, "kl_diagonal", std_for_variance_diagonal),
        ["(8) is (7) with this prior"],
    ),
    "(8): summed over the batch": (
        code(
            "eight = 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=-1)",
            "eight = 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=0)",
        ),
        ["one value per example"],
    ),
    "(8) with signs turned: one forgotten": (
        code("-0.5 * np.sum(1 + log_var", "-0.5 * np.sum(1 - log_var"),
        ["with every sign turned it is the same"],
    ),
    "kl_standard_normal: sign": (
        function(gaussian, "kl_standard_normal", scaled(-1)),
        [
            "vaelib's kl_standard_normal is (8)",
            "the chain rule gives the slope of the mean KL",
            "the encoder collapses to the prior",
        ],
    ),
    "draws that are not independent": (
        code("rng.standard_normal(num_samples)\nlog", "np.repeat(rng.standard_normal(num_samples // 400), 400)\nlog"),
        ["a hundred times the draws: a tenth of the error"],
    ),
    "KL per dimension: σ for σ²": (
        function(gaussian, "kl_standard_normal_per_dim", std_for_variance),
        [
            *ROUTES,
            "log σ² head: right in float32 from −300 to 88",
            "the innermost contour is √2 as tall",
            "and in the limit exactly",
            "too wide costs almost four times too narrow",
            "(12) when q(z) is the prior, the mean KL is I(x; z)",
            "(12) else it pays for KL(q(z)‖p(z)) as well",
            "answer 2: both cost 0.01 nats",
        ],
    ),
    "KL per dimension: arguments swapped": (
        function(gaussian, "kl_standard_normal_per_dim", swapped_with_prior),
        [*ROUTES, "too wide costs almost four times too narrow"],
    ),
    "KL per dimension: −1 left out": (
        function(gaussian, "kl_standard_normal_per_dim", shifted(0.5)),
        [*ROUTES, "all that lies below 10⁻⁵ nats", "a ratio of 0 carries nothing, for any x"],
    ),
    "log σ² head: σ for σ²": (
        code("0.5 * (np.exp(r) - 1 - r)", "0.5 * (np.exp(r / 2) - 1 - r)"),
        [
            "log σ² head: right in float32 from −300 to 88",
            SLOPES["log σ²"],
            "a raw 20 costs over 10⁸ nats",
        ],
    ),
    "σ head: no square to underflow": (code("np.log(r**2)", "2 * np.log(r)"), [BELOW]),
    "float64 for float32": (
        code("head(np.float32(raw[name]))", "head(np.float64(raw[name]))"),
        [
            BELOW,
            "at 100 the KL itself leaves float32: every head fails",
            "there rounding can make it negative, just",
        ],
    ),
    "log σ² head: expm1 from the start": (
        code("0.5 * (np.exp(r) - 1 - r)", "0.5 * (np.expm1(r) - r)"),
        ["near σ = 1 the log σ² head loses most, 100 times as much"],
    ),
    "exp for expm1": (
        code("np.expm1(small) - small", "np.exp(small) - 1 - small"),
        ["with expm1 it loses as little as the others"],
    ),
    "(9) σ: twice the narrow part": (
        code("direct = sigma - 1 / sigma", "direct = sigma - 2 / sigma"),
        [SLOPES["σ"], SLOPES["softplus"]],
    ),
    "(9) σ: the slope of the log σ² head": (
        code("direct = sigma - 1 / sigma", "direct = 0.5 * (sigma**2 - 1)"),
        [
            SLOPES["σ"],
            "the direct head overshoots, the other two stay below 0.02",
            "the direct head's slope has no limit",
        ],
    ),
    "(9) softplus: chain rule left out": (
        code("direct * -np.expm1(-sigma)", "direct"),
        [SLOPES["softplus"], "where σ < 1, log σ² and softplus slope at most ½ and 1"],
    ),
    "(9) log σ²: σ for σ²": (
        code("0.5 * (sigma**2 - 1), ", "0.5 * (sigma - 1), "),
        [SLOPES["log σ²"], "twice as wide: the log σ² head is four times as steep, softplus twice"],
    ),
    "gradient: ½ left out": (
        function(gaussian, "kl_standard_normal_gradient", gradient_without_half),
        [
            "(11) moves along minus the gradient",
            "near the prior log σ² decays at the rate ½",
            "the chain rule gives the slope of the mean KL",
        ],
    ),
    "(11): the mean's rate halved": (
        function(gaussian, "kl_gradient_flow", mean_as_slow_as_the_width),
        [
            "(11) moves along minus the gradient",
            "(11) the mean decays as exp(−t)",
            "in the lab μ comes home first",
        ],
    ),
    "too wide and too narrow exchanged": (
        code("[1e-4, 3.0, -3.0]", "[1e-4, -3.0, 3.0]"),
        ["at 3 faster than μ, at −3 slower than ½"],
    ),
    "the edges exchanged": (
        code("np.array([3.0, -3.0]))[1]", "np.array([-3.0, 3.0]))[1]"),
        ["from the top edge a step is 20 times as long"],
    ),
    "chain rule: the slope of tanh": (
        code("(1 - hidden**2)", "(1 - hidden)"),
        ["the chain rule gives the slope of the mean KL"],
    ),
    "no descent": (
        code("w - 0.1 * g", "w - 0.0 * g"),
        [
            "the encoder collapses to the prior",
            "after: guessing from the code is blind",
            "at the end they lie on the circle",
        ],
    ),
    "groups that do not differ": (
        code("4 * np.eye(3, 4)[labels]", "0 * np.eye(3, 4)[labels]"),
        ["before: the codes tell the groups apart"],
    ),
    "posteriors as wide as the prior at first": (
        code("biases = np.array([0, 0, -4.0, -4.0])", "biases = np.zeros(4)"),
        ["most ellipses were less than half as wide"],
    ),
    "(13): ½ left out": (
        code("information = 0.5 * np.log1p(snr)", "information = np.log1p(snr)"),
        [
            "(13) is the KL of the joint from the margins",
            "(12) when q(z) is the prior, the mean KL is I(x; z)",
            "ratios 3, 15, 255 are 1, 2, 4 bits",
        ],
    ),
    "answer 1: σ² for σ": (
        code("kl_by_hand(0, 1, 0, 0.001)", "kl_by_hand(0, 1, 0, 0.001**0.5)"),
        ["answer 1: a tenth of σ is a hundred times the KL"],
    ),
    "answer 2: the width's part left out": (
        code(" + 0.5 * np.expm1(log_var) ** 2", ""),
        ["answer 2: the variance is about 2 KL, either way", "answer 2: and so says a sample"],
    ),
    "answer 3: not the posterior": (
        code("q_mu, q_log_var = model.best_q(seen)", "q_mu, q_log_var = np.zeros(1), np.zeros(1)"),
        ["answer 3: at the posterior only the second is free of noise"],
    ),
}


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and each of its breaks from where it matters."""
    cases = [
        Case(broken, guards[-1], (*FASTER["without"], *needless(SLOW, guards))) for broken, guards in BROKEN.values()
    ]
    return runs_of(NOTEBOOK, cases, **FASTER)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_formula_is_caught(runs, what):
    broken, guards = BROKEN[what]
    assert set(guards) <= runs.broken[broken.key]


def test_unbroken_every_claim_holds_and_each_is_guarded(runs):
    assert runs.failed == []
    assert set(runs.made) == {claim for _, guards in BROKEN.values() for claim in guards}


def test_a_broken_formula_stops_the_notebook():
    with replaced(gaussian, "kl_full", swapped), pytest.raises(ClaimError, match="actual:"):
        run_until(NOTEBOOK, "(6) with diagonal matrices is the sum (7)", **FASTER)
