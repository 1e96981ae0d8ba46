"""Notebook 02 claims what it shows: break a formula, and the claim that guards it fails."""

import contextlib

import numpy as np
import pytest
from breaking import ClaimError, claims_of, replaced, run_until
from scipy.special import expit

from vaelib.theory import gaussian, inference
from vaelib.theory.toy_models import BernoulliLatent, LatentVariableModel, LinearGaussian

pytestmark = pytest.mark.slow

NOTEBOOK = "02_elbo"
FASTER = {
    "parameters": {"num_pairs": 100_000, "num_repeats": 100},
    "without": ("figures.show(", "drawn = np.log(r", "ElboLab(", "DerivationLab(", "PredictPlace("),
}


def function(target, name, change):
    """One function of vaelib broken: change(original) takes its place."""
    return lambda: (replaced(target, name, change), {})


def code(old, new):
    """One piece of the notebook's own code broken."""
    return lambda: (contextlib.nullcontext(), {old: new})


def wrong_likelihood(original):
    """σ where σ² belongs."""

    def log_likelihood(self, x, z):
        mean = np.asarray(z) @ self.w.T + self.b
        return gaussian.log_prob_diagonal(np.asarray(x), mean, np.full(self.data_dim, np.log(self.sigma)))

    return log_likelihood


def swapped_kl(original):
    """KL(p(z|x) ‖ q) where KL(q ‖ p(z|x)) belongs."""

    def gap(self, x, mu, log_var):
        mean, cov = self.posterior(x)
        return gaussian.kl_diagonal(mean, np.broadcast_to(np.log(np.diag(cov)), mean.shape), mu, log_var)

    return gap


def swapped_kl_by_grid(original):
    def gap(self, x, mu, log_var):
        z = self.grid[:, None]
        log_p = self.log_posterior(z, x)
        log_q = gaussian.log_prob_diagonal(z, np.asarray(mu)[..., None, :], np.asarray(log_var)[..., None, :])
        return np.sum(np.exp(log_p) * (log_p - log_q), axis=-1) * (self.grid[1] - self.grid[0])

    return gap


def moment_matched(original):
    """The posterior's mean and variance: they minimise the other KL."""

    def best_q(self, x):
        mean, var = self.posterior(x)
        return mean, np.log(var)

    return best_q


def marginal_variances(original):
    def best_q(self, x):
        mean, cov = self.posterior(x)
        return mean, np.broadcast_to(np.log(np.diag(cov)), mean.shape)

    return best_q


def downhill_step(original):
    """An M-step that goes the wrong way."""

    def m_step(self, x, mu, log_var, parameter):
        better = original(self, x, mu, log_var, parameter)
        old, new = getattr(self, parameter), getattr(better, parameter)
        setattr(better, parameter, old - 0.3 * (new - old))
        return better

    return m_step


def lazy_step(original):
    """An M-step that stays where it is."""
    return lambda self, x, mu, log_var, parameter: self


def ascent_that_moves_theta(original):
    def coordinate_ascent(*args, **kwargs):
        path = original(*args, **kwargs)
        return [s._replace(log_evidence=s.log_evidence + 0.01 * i) for i, s in enumerate(path)]

    return coordinate_ascent


def variance_for_std(original):
    """z = μ + σ² ε."""

    def elbo_monte_carlo(model, x, mu, log_var, eps):
        z = np.asarray(mu) + np.exp(np.asarray(log_var)) * eps
        return model.log_joint(x, z) - gaussian.log_prob_diagonal(z, mu, log_var)

    return elbo_monte_carlo


def no_entropy(original):
    def elbo_monte_carlo(model, x, mu, log_var, eps):
        return model.log_joint(x, gaussian.sample_diagonal(mu, log_var, eps))

    return elbo_monte_carlo


def sample_of_opposite_bits(original):
    def sample(self, n, rng):
        z = rng.standard_normal((n, 1))
        return (rng.random((n, self.data_dim)) > expit(z * self.w + self.b)).astype(float), z

    return sample


def scaled(factor):
    return lambda original: lambda *args, **kwargs: factor * original(*args, **kwargs)


def shifted(by):
    return lambda original: lambda *args, **kwargs: by + original(*args, **kwargs)


def precision_without_prior(original):
    def posterior(self, x):
        cov = np.linalg.inv(self.w.T @ self.w / self.sigma**2)
        return (np.asarray(x) - self.b) @ self.w @ cov / self.sigma**2, cov

    return posterior


def kl_added(original):
    """The KL as a gain."""

    def elbo(self, x, mu, log_var):
        return self.expected_log_likelihood(x, mu, log_var) + gaussian.kl_standard_normal(mu, log_var)

    return elbo


def blur_without_half(original):
    """w²σ²/s² where w²σ²/(2 s²) belongs."""

    def expected_log_likelihood(self, x, mu, log_var):
        blur = 0.5 * np.exp(log_var) @ np.sum(self.w**2, axis=0) / self.sigma**2
        return original(self, x, mu, log_var) - blur

    return expected_log_likelihood


def half_kl_full(original):
    def elbo_full(self, x, mu, cov):
        kl = gaussian.kl_full(mu, cov, np.zeros(self.latent_dim), np.eye(self.latent_dim))
        return original(self, x, mu, cov) + 0.5 * kl

    return elbo_full


def std_for_variance(original):
    """σ where σ² belongs."""
    return lambda mu, log_var: original(mu, np.asarray(log_var) / 2)


LINEAR, BERNOULLI = ", linear-Gaussian", ", Bernoulli"
BOTH = (LINEAR, BERNOULLI)
HALF_LOG_2PI = 0.5 * gaussian.LOG_2PI

# What is broken: how, and the claims that catch it, in the notebook's order.
BROKEN = {
    "likelihood: σ for σ²": (
        function(LinearGaussian, "log_likelihood", wrong_likelihood),
        ["(1) log p(x) is the integral, linear-Gaussian"],
    ),
    "log p(x) too large": (
        function(BernoulliLatent, "log_evidence", shifted(0.1)),
        [
            "(1) log p(x) is the integral, Bernoulli",
            "p(x) is the share of simulated x that equal ours",
            "(3) Bayes' rule against simulated z: mean, Bernoulli",
            "(5) log p(x) leaves the mean, Bernoulli",
            "(6) log p(x) = ELBO + gap, Bernoulli",
            "(10) log p(x) is the log of a mean, Bernoulli",
            "(10) the mean of r(z) estimates p(x), Bernoulli",
        ],
    ),
    "log p(x): ½ log 2π left out": (
        function(LinearGaussian, "log_evidence", shifted(HALF_LOG_2PI)),
        [
            "(5) log p(x) leaves the mean, linear-Gaussian",
            "(6) log p(x) = ELBO + gap, linear-Gaussian",
            "(10) log p(x) is the log of a mean, linear-Gaussian",
        ],
    ),
    "simulated x: 0 and 1 exchanged": (
        function(BernoulliLatent, "sample", sample_of_opposite_bits),
        ["p(x) is the share of simulated x that equal ours", "(3) Bayes' rule against simulated z: mean, Bernoulli"],
    ),
    "posterior: prior left out": (
        function(LinearGaussian, "posterior", precision_without_prior),
        [
            "(2) the definition of the KL, linear-Gaussian",
            "(3) Bayes' rule at every z, linear-Gaussian",
            "q = p(z|x) leaves no gap, linear-Gaussian",
            "a full covariance closes the gap",
        ],
    ),
    "gap: arguments swapped, linear-Gaussian": (
        function(LinearGaussian, "gap", swapped_kl),
        ["(2) the definition of the KL, linear-Gaussian", "(9) the gap of the best diagonal q"],
    ),
    "gap: arguments swapped, Bernoulli": (
        function(BernoulliLatent, "gap", swapped_kl_by_grid),
        [
            "(2) the definition of the KL, Bernoulli",
            "ELBO + gap = log p(x) at every slider position, Bernoulli",
            "the best normal q by brute search, Bernoulli",
        ],
    ),
    "gap: sign, linear-Gaussian": (
        function(LinearGaussian, "gap", scaled(-1)),
        [
            "ELBO + gap = log p(x) at every slider position, linear-Gaussian",
            "(7) the gap is positive at every slider position, linear-Gaussian",
            "(12) along φ the ELBO gains what the gap loses",
            "(12) along θ log p(x) moves too",
        ],
    ),
    "gap: sign, Bernoulli": (
        function(BernoulliLatent, "gap", scaled(-1)),
        [
            "(7) the gap is positive at every slider position, Bernoulli",
            "even the best normal q leaves a gap, Bernoulli",
        ],
    ),
    "Bayes' rule: prior left out": (
        code("model.log_prior(z) + model.log_likelihood(x, z) - log_ev", "model.log_likelihood(x, z) - log_ev"),
        [
            "(3) Bayes' rule at every z, linear-Gaussian",
            "(3) Bayes' rule against simulated z: mean, Bernoulli",
            "(3) Bayes' rule against simulated z: mean square, Bernoulli",
        ],
    ),
    "line 3: sign of log p(x)": (
        code("- model.log_joint(x, z) + log_evidence", "- model.log_joint(x, z) - log_evidence"),
        [f"(4) Bayes' rule inside the KL{name}" for name in BOTH],
    ),
    "line 5: sign of the ELBO": (
        code("elbo[name] = expect(", "elbo[name] = -expect("),
        [
            f"{claim}{name}"
            for name in BOTH
            for claim in ("(6) log p(x) = ELBO + gap", "(7) the ELBO lies below log p(x)")
        ],
    ),
    "KL to the prior: ½ left out": (
        function(gaussian, "kl_standard_normal", scaled(2)),
        [f"(8) reconstruction − KL(q‖p(z)){name}" for name in BOTH],
    ),
    "KL to the prior: σ for σ²": (
        function(gaussian, "kl_standard_normal", std_for_variance),
        [
            *(f"(8) reconstruction − KL(q‖p(z)){name}" for name in BOTH),
            "the best normal q by brute search, Bernoulli",
        ],
    ),
    "ELBO: KL added": (
        function(LatentVariableModel, "elbo", kl_added),
        [
            *(f"vaelib's ELBO is the same number{name}" for name in BOTH),
            *(f"reconstruction − KL = ELBO at every slider position{name}" for name in BOTH),
            "there the ELBO is log p(x), linear-Gaussian",
            "(9) log p(x) − ELBO says the same",
            "(13) an E-step closes the gap, linear-Gaussian",
        ],
    ),
    "reconstruction: ½ left out": (
        function(LinearGaussian, "expected_log_likelihood", blur_without_half),
        ["vaelib's ELBO is the same number, linear-Gaussian", "there the ELBO is log p(x), linear-Gaussian"],
    ),
    "reconstruction counted twice": (
        function(LinearGaussian, "expected_log_likelihood", scaled(2)),
        ["(12) along θ log p(x) moves too", "q = p(z|x): the ELBO's gradient in θ is that of log p(x)"],
    ),
    "best q: the posterior's mean and variance": (
        function(BernoulliLatent, "best_q", moment_matched),
        ["the best normal q by brute search, Bernoulli"],
    ),
    "best q: covariance for precision": (
        function(LinearGaussian, "best_q", marginal_variances),
        ["(9) the gap of the best diagonal q", "diagonal q is narrower than the posterior"],
    ),
    "(9): ½ left out": (
        code("formula = 0.5 * (np.sum", "formula = (np.sum"),
        ["(9) the gap of the best diagonal q", "(9) log p(x) − ELBO says the same"],
    ),
    "ELBO of a full covariance: half the KL": (
        function(LinearGaussian, "elbo_full", half_kl_full),
        ["a full covariance closes the gap"],
    ),
    "(10): the mean of the logs": (
        code("np.log(expect(lambda z: np.exp(log_r(z))))", "expect(log_r)"),
        [
            f"{claim}{name}"
            for name in BOTH
            for claim in ("(10) log p(x) is the log of a mean", "(11) what Jensen loses is the gap")
        ],
    ),
    "M-step downhill, linear-Gaussian": (
        function(LinearGaussian, "m_step", downhill_step),
        ["(13) no step lowers the ELBO, linear-Gaussian", "(13) the climb ends at the maximum likelihood, b = x"],
    ),
    "M-step downhill, Bernoulli": (
        function(BernoulliLatent, "m_step", downhill_step),
        ["(13) no step lowers the ELBO, Bernoulli"],
    ),
    "M-step that stays, linear-Gaussian": (
        function(LinearGaussian, "m_step", lazy_step),
        ["(13) an M-step opens the gap, first six, linear-Gaussian"],
    ),
    "M-step that stays, Bernoulli": (
        function(BernoulliLatent, "m_step", lazy_step),
        ["(13) an M-step opens the gap, first six, Bernoulli", "(13) the last E-step leaves a gap, Bernoulli"],
    ),
    "E-step that moves θ": (
        function(inference, "coordinate_ascent", ascent_that_moves_theta),
        [f"(13) an E-step leaves log p(x) alone{name}" for name in BOTH],
    ),
    "draws of z: σ² for σ": (
        function(inference, "elbo_monte_carlo", variance_for_std),
        [f"(14) the mean of the terms is the ELBO{name}" for name in BOTH],
    ),
    "terms: log q left out": (
        function(inference, "elbo_monte_carlo", no_entropy),
        [
            *(f"(14) the mean of the terms is the ELBO{name}" for name in BOTH),
            "q = p(z|x): every single term is log p(x)",
        ],
    ),
    "one draw repeated N times": (
        code("standard_normal((num_repeats, n, 1))", "standard_normal((num_repeats, 1, 1)) + np.zeros((1, n, 1))"),
        [
            f"{claim}{name}"
            for name in BOTH
            for claim in ("(15) the error falls as N^(−½)", "(15) N error² / s² is 1 at every N")
        ],
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_formula_is_caught(what):
    breaking, guards = BROKEN[what]
    context, source = breaking()
    with context:
        _, failed = claims_of(NOTEBOOK, source=source, last=guards[-1], **FASTER)
    assert set(guards) <= set(failed)


def test_unbroken_every_claim_holds_and_each_is_guarded():
    made, failed = claims_of(NOTEBOOK, **FASTER)
    assert failed == []
    assert set(made) == {claim for _, guards in BROKEN.values() for claim in guards}


def test_a_broken_formula_stops_the_notebook():
    with replaced(gaussian, "kl_standard_normal", scaled(-1)), pytest.raises(ClaimError, match="actual:"):
        run_until(NOTEBOOK, "(8) reconstruction − KL(q‖p(z)), linear-Gaussian", **FASTER)


def test_a_claim_or_a_piece_of_code_that_is_not_there_is_named():
    with pytest.raises(LookupError, match="holds no code 'no such code'"):
        run_until(NOTEBOOK, "(8)", source={"no such code": ""}, **FASTER)
    with pytest.raises(LookupError, match="makes no claim 'no such claim'"):
        run_until(NOTEBOOK, "no such claim", **FASTER)
