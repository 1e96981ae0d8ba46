"""Notebook 06 claims what it shows: break a formula, and the claim that guards it fails."""

import contextlib

import numpy as np
import pytest
from breaking import ClaimError, claims_of, replaced, run_until

from vaelib.theory import gaussian

pytestmark = pytest.mark.slow

NOTEBOOK = "06_closed_form_kl"
FASTER = {
    "parameters": {"num_samples": 40_000},
    "without": ("sizes = np.geomspace(", "2 * errors,"),
}
# Slow cells, by a piece of their code, and what their claims begin with: left out when they are not what is broken.
SLOW = {
    "sp.symbols(": (
        "E[1]",
        "SymPy",
        "vaelib's gradient",
        "too wide",
        "over the grid",
        "and everywhere",
        "near the prior a contour",
    ),
    "def gradients(": ("the chain rule", "the encoder", "after", "before"),
    "def guess_is_right(": ("after", "before"),
}


def function(name, change):
    """One function of vaelib.theory.gaussian broken: change(original) takes its place."""
    return lambda: (replaced(gaussian, name, change), {})


def code(old, new):
    """One piece of the notebook's own code broken."""
    return lambda: (contextlib.nullcontext(), {old: new})


def scaled(factor):
    return lambda original: lambda *args: factor * original(*args)


def shifted(by):
    return lambda original: lambda *args: by + original(*args)


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


FIVE_WAYS = [
    "closed form = Monte Carlo, within its error",
    "closed form = quadrature",
    "closed form = cross-entropy − entropy (SciPy)",
    "closed form = its gradient, integrated",
]
BELOW = ["σ head: below −104, σ² is 0 and the KL infinite", "softplus head: below −104, σ² is 0 and the KL infinite"]

# What is broken: how, and the claims that catch it, in the notebook's order.
BROKEN = {
    "(2): σ_p and σ_q exchanged": (
        code("np.log(sigma_p / sigma_q) + squares", "np.log(sigma_q / sigma_p) + squares"),
        ["(2) is the difference of two log-densities"],
    ),
    "(3): σ for σ²": (
        code("    sigma_q**2 + (mu_q - mu_p) ** 2,\n", "    sigma_q + (mu_q - mu_p) ** 2,\n"),
        ["(3) E(z − μ_p)² = σ_q² + (μ_q − μ_p)²"],
    ),
    "(4): ½ left out": (
        code("return 0.5 * (\n        np.log(sigma_p**2", "return (\n        np.log(sigma_p**2"),
        [
            "(4) is the integral (1)",
            "vaelib's kl_normal is (4)",
            "the area under the curve is (4)",
            "(7) is the sum of (4) over dimensions",
            "(12) else it pays for KL(q(z)‖p(z)) as well",
        ],
    ),
    "(4): arguments not exchanged": (code("cases[[2, 3, 0, 1]]", "cases"), ["KL(q‖p) is not KL(p‖q)"]),
    "kl_normal: arguments swapped": (function("kl_normal", swapped), ["vaelib's kl_normal is (4)"]),
    "the picture of the integrand: arguments swapped": (
        code("(log_q - log_p)\nfig", "(log_p - log_q)\nfig"),
        ["the area under the curve is (4)", "more of it lies above zero than below"],
    ),
    "SymPy: the density is not normalised": (
        code("/ sp.sqrt(2 * sp.pi)", "/ sp.sqrt(sp.pi)"),
        ["E[1], E[ε], E[ε²], integrated", "SymPy: (1) minus (4) is zero for all μ and σ"],
    ),
    "SymPy: ½ left out": (
        code("/ s_p**2 - 1) / 2", "/ s_p**2 - 1)"),
        [
            "SymPy: (1) minus (4) is zero for all μ and σ",
            "SymPy: the gradient is (μ, ½ (σ² − 1))",
            "SymPy: the Hessian is diag(1, ½ σ²): convex",
        ],
    ),
    "(5): Σ_p and Σ_q exchanged": (
        code("np.linalg.solve(cov_p, cov_q)", "np.linalg.solve(cov_q, cov_p)"),
        ["(5) the quadratic form brings a trace"],
    ),
    "kl_full: arguments swapped": (
        function("kl_full", swapped),
        [
            "(6) is a sum of 1-D integrals",
            "(6) with diagonal matrices is (7)",
            "with p's variances a diagonal q pays ½ log(1 − ρ²) + ρ²/(1 − ρ²)",
            "with the variances 1 − ρ² it pays −½ log(1 − ρ²)",
            "(13) is the KL of the joint from the margins",
        ],
    ),
    "a diagonal q that is too wide": (
        code("kl_of_centred(np.eye(2), p)", "kl_of_centred(2 * np.eye(2), p)"),
        ["with p's variances a diagonal q pays ½ log(1 − ρ²) + ρ²/(1 − ρ²)", "at ρ = 0.5 either is less than 0.2 nats"],
    ),
    "mutual information: arguments swapped": (
        code("kl_of_centred(p, np.eye(2))", "kl_of_centred(np.eye(2), p)"),
        ["as much as the joint lies from the product of its margins"],
    ),
    "the best diagonal q: ½ left out": (
        code(">= -0.5 * np.log(0.36)", ">= -np.log(0.36)"),
        ["at ρ = 0.8 no other common variance pays less"],
    ),
    "kl_diagonal: σ for σ²": (
        function("kl_diagonal", std_for_variance_diagonal),
        [
            "(6) with diagonal matrices is (7)",
            "(7) is the sum of (4) over dimensions",
            "(7) with a standard normal prior is (8)",
        ],
    ),
    "(8): summed over the batch": (
        code("- 1 - log_var, axis=-1)\nas_in", "- 1 - log_var, axis=0)\nas_in"),
        ["one value per example"],
    ),
    "(8) with signs turned: one forgotten": (
        code("-0.5 * np.sum(1 + log_var", "-0.5 * np.sum(1 - log_var"),
        ["with every sign turned it is the same"],
    ),
    "kl_standard_normal: sign": (
        function("kl_standard_normal", scaled(-1)),
        [
            "vaelib's kl_standard_normal is (8)",
            "the chain rule gives the slope of the mean KL",
            "the encoder collapses to the prior",
        ],
    ),
    "KL per dimension: σ for σ²": (
        function("kl_standard_normal_per_dim", std_for_variance),
        [
            *FIVE_WAYS,
            "log σ² head: right in float32 from −300 to 88",
            "vaelib's gradient = finite difference",
            "over the grid the lowest point is the prior",
            "and everywhere else the KL is positive",
            "near the prior a contour is √2 times as tall as wide",
            "at the lab's start the mean costs 2 nats, the width about a quarter of that",
            "(12) when q(z) is the prior, the mean KL is I(x; z)",
            "(12) else it pays for KL(q(z)‖p(z)) as well",
        ],
    ),
    "KL per dimension: arguments swapped": (
        function("kl_standard_normal_per_dim", swapped_with_prior),
        [*FIVE_WAYS, "vaelib's gradient = finite difference", "too wide costs more than too narrow"],
    ),
    "KL per dimension: −1 left out": (
        function("kl_standard_normal_per_dim", shifted(0.5)),
        [*FIVE_WAYS, "an SNR of 0 carries nothing, example by example"],
    ),
    "log σ² head: σ for σ²": (
        code("0.5 * (np.exp(r) - 1 - r)", "0.5 * (np.exp(r / 2) - 1 - r)"),
        ["log σ² head: right in float32 from −300 to 88", "(10) log σ² head: slope = finite difference"],
    ),
    "σ head: no square to underflow": (code("np.log(r**2)", "2 * np.log(r)"), BELOW),
    "float64 for float32": (
        code("np.float32(r)", "np.float64(r)"),
        [
            *BELOW,
            "at 100 the KL itself leaves float32: every head fails",
            "near σ = 1 rounding can make it negative, just",
            "near σ = 1 the log σ² head loses most, by far",
        ],
    ),
    "exp for expm1": (
        code("np.expm1(small) - small", "np.exp(small) - 1 - small"),
        ["with expm1 it loses as little as the others"],
    ),
    "(10) σ: sign": (
        code("direct = sigma - 1 / sigma", "direct = sigma + 1 / sigma"),
        [
            "(10) σ head: slope = finite difference",
            "(10) softplus head: slope = finite difference",
            "the direct head overshoots to σ = 10",
        ],
    ),
    "(10) softplus: chain rule left out": (
        code("direct * -np.expm1(-sigma)", "direct"),
        [
            "(10) softplus head: slope = finite difference",
            "where σ < 1, log σ² and softplus never slope more than ½ and 1",
        ],
    ),
    "gradient: ½ left out": (
        function("kl_standard_normal_gradient", gradient_without_half),
        [
            "closed form = its gradient, integrated",
            "vaelib's gradient = finite difference",
            "a step is long at the top edge, and below log σ² = 0 never over 0.35 × ½",
            "(11) moves along minus the gradient",
            "near the prior log σ² decays at the rate ½",
            "the chain rule gives the slope of the mean KL",
        ],
    ),
    "(11): the mean's rate halved": (
        function("kl_gradient_flow", mean_as_slow_as_the_width),
        [
            "on its way down μ comes home first",
            "(11) moves along minus the gradient",
            "(11) the mean decays as exp(−t)",
        ],
    ),
    "too wide and too narrow exchanged": (
        code("[1e-4, 3.0, -3.0]", "[1e-4, -3.0, 3.0]"),
        ["at log σ² = 3 it decays faster than μ, at −3 more slowly than ½"],
    ),
    "chain rule: the slope of tanh": (
        code("(1 - hidden**2)", "(1 - hidden)"),
        ["the chain rule gives the slope of the mean KL"],
    ),
    "no descent": (
        code("w - 0.1 * g", "w - 0.0 * g"),
        ["the encoder collapses to the prior", "after: guessing from the code is blind"],
    ),
    "groups that do not differ": (
        code("4 * np.eye(3, 4)[labels]", "0 * np.eye(3, 4)[labels]"),
        ["before: the codes tell the groups apart"],
    ),
    "(13): ½ left out": (
        code("0.5 * np.log1p(snr)", "np.log1p(snr)"),
        [
            "(13) is the KL of the joint from the margins",
            "(12) when q(z) is the prior, the mean KL is I(x; z)",
            "SNR 3, 15, 255 are 1, 2, 4 bits",
        ],
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_formula_is_caught(what):
    breaking, guards = BROKEN[what]
    context, source = breaking()
    needed = lambda starts: any(guard.startswith(starts) for guard in guards)  # noqa: E731
    without = (*FASTER["without"], *(piece for piece, starts in SLOW.items() if not needed(starts)))
    with context:
        _, failed = claims_of(NOTEBOOK, source=source, last=guards[-1], **{**FASTER, "without": without})
    assert set(guards) <= set(failed)


def test_unbroken_every_claim_holds_and_each_is_guarded():
    made, failed = claims_of(NOTEBOOK, **FASTER)
    assert failed == []
    assert set(made) == {claim for _, guards in BROKEN.values() for claim in guards}


def test_a_broken_formula_stops_the_notebook():
    with replaced(gaussian, "kl_full", swapped), pytest.raises(ClaimError, match="actual:"):
        run_until(NOTEBOOK, "(6) is a sum of 1-D integrals", **FASTER)
