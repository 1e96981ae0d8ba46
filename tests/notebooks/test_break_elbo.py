"""Notebook 02 claims what it shows: break a formula, and the claim that guards it fails."""

import numpy as np
import pytest
from breaking import ClaimError, code, function, replaced, run_until, scaled, shifted
from forking import Case, runs_of
from scipy.special import expit

from vaelib.theory import gaussian, inference
from vaelib.theory.toy_models import BernoulliLatent, LatentVariableModel, LinearGaussian

pytestmark = pytest.mark.slow

NOTEBOOK = "02_elbo"
FASTER = {
    "parameters": {"num_pairs": 100_000, "num_repeats": 100},
    "without": ("figures.show(", "ElboLab(", "PredictPlace("),
}


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
            "(4) Bayes' rule against simulated z: mean, Bernoulli",
            "(5) log p(x) leaves the mean, Bernoulli",
            "(6) log p(x) = ELBO + gap, Bernoulli",
            "(11) log p(x) is the log of a mean, Bernoulli",
            "(12) the mean of r(z) estimates p(x), Bernoulli",
        ],
    ),
    "log p(x): ½ log 2π left out": (
        function(LinearGaussian, "log_evidence", shifted(HALF_LOG_2PI)),
        [
            "(5) log p(x) leaves the mean, linear-Gaussian",
            "(6) log p(x) = ELBO + gap, linear-Gaussian",
            "(11) log p(x) is the log of a mean, linear-Gaussian",
        ],
    ),
    "simulated x: 0 and 1 exchanged": (
        function(BernoulliLatent, "sample", sample_of_opposite_bits),
        ["p(x) is the share of simulated x that equal ours", "(4) Bayes' rule against simulated z: mean, Bernoulli"],
    ),
    "posterior: prior left out": (
        function(LinearGaussian, "posterior", precision_without_prior),
        [
            "(2) the definition of the KL, linear-Gaussian",
            "(4) Bayes' rule at every z, linear-Gaussian",
            "q = p(z|x) leaves no gap, linear-Gaussian",
            "q = p(z|x): log r does not vary",
            "a full covariance closes the gap",
        ],
    ),
    "q in r: another one than in the mean": (
        code("m, np.sqrt(v)) - log_q(z)\n", "m, np.sqrt(v)) - log_q(z, 0, 1)\n"),
        ["(3) the mean of r is 1"],
    ),
    "KL: sign": (
        code("kl = -expect(log_r)", "kl = expect(log_r)"),
        ["the net area drawn is the KL", "(3) the KL is positive, linear-Gaussian"],
    ),
    "gap: arguments swapped, linear-Gaussian": (
        function(LinearGaussian, "gap", swapped_kl),
        ["(2) the definition of the KL, linear-Gaussian", "the gap of the best independent q"],
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
            "(9) along φ the ELBO gains what the gap loses",
            "(9) along θ log p(x) moves too",
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
            "(4) Bayes' rule at every z, linear-Gaussian",
            "(4) Bayes' rule against simulated z: mean, Bernoulli",
            "(4) Bayes' rule against simulated z: mean square, Bernoulli",
        ],
    ),
    "line 4: sign of log p(x)": (
        code("log_q(z) - model.log_joint(x, z)) + log_ev", "log_q(z) - model.log_joint(x, z)) - log_ev"),
        [f"(5) log p(x) leaves the mean{name}" for name in BOTH],
    ),
    "line 5: sign of the ELBO": (
        code("elbo[name] = expect(", "elbo[name] = -expect("),
        [
            f"{claim}{name}"
            for name in BOTH
            for claim in ("(6) log p(x) = ELBO + gap", "(7) the ELBO lies below log p(x)")
        ],
    ),
    "gap: to the prior": (
        code("log_q(z) - model.log_posterior(z, x)", "log_q(z) - model.log_prior(z)"),
        [f"(8) KL to the prior and to the posterior differ{name}" for name in BOTH],
    ),
    "KL to the prior: ½ left out": (
        function(gaussian, "kl_standard_normal", scaled(2)),
        [*(f"(8) reconstruction − KL(q‖p(z)){name}" for name in BOTH), "the better reconstruction is paid in KL"],
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
            "(10) an E-step closes the gap, linear-Gaussian",
            "log p(x) − ELBO says the same",
        ],
    ),
    "reconstruction: ½ left out": (
        function(LinearGaussian, "expected_log_likelihood", blur_without_half),
        ["vaelib's ELBO is the same number, linear-Gaussian", "log p(x) − ELBO says the same"],
    ),
    "reconstruction counted twice": (
        function(LinearGaussian, "expected_log_likelihood", scaled(2)),
        [
            "(9) along θ log p(x) moves too",
            "q = p(z|x): the ELBO's gradient in θ is that of log p(x)",
            "two q, one ELBO",
        ],
    ),
    "best q: the posterior's mean and variance": (
        function(BernoulliLatent, "best_q", moment_matched),
        ["the best normal q leaves less than every position", "the best normal q by brute search, Bernoulli"],
    ),
    "best q: covariance for precision": (
        function(LinearGaussian, "best_q", marginal_variances),
        ["the gap of the best independent q", "independent q is narrower than the posterior, on each axis"],
    ),
    "mean-field gap: ½ left out": (
        code("formula = 0.5 * (np.sum", "formula = (np.sum"),
        ["the gap of the best independent q", "log p(x) − ELBO says the same"],
    ),
    "independent q: too wide": (
        code("own = np.diag(np.exp(log_var))", "own = 9 * np.diag(np.exp(log_var))"),
        ["it falls short along the slant"],
    ),
    "independent q: too narrow": (
        code("own = np.diag(np.exp(log_var))", "own = 0.01 * np.diag(np.exp(log_var))"),
        ["it reaches beyond to the sides"],
    ),
    "ELBO of a full covariance: half the KL": (
        function(LinearGaussian, "elbo_full", half_kl_full),
        ["a full covariance closes the gap"],
    ),
    "(11): the mean of the logs": (
        code("np.log(expect(lambda z: np.exp(model.log_joint(x, z) - log_q(z))))", "elbo[name]"),
        [f"(11) log p(x) is the log of a mean{name}" for name in BOTH],
    ),
    "r: prior and ours exchanged": (
        code("[(0, 1), (q_mu, q_sigma), (m,", "[(q_mu, q_sigma), (0, 1), (m,"),
        ["log r varies less and less: prior, ours, posterior"],
    ),
    "two q: sides exchanged": (
        code("for side in (-1, 1)", "for side in (1, -1)"),
        ["the one nearer to the likelihood's peak reconstructs better"],
    ),
    "ten bits as hard as the lesson's": (
        code("w=np.ones(10)", "w=10 * np.ones(10)"),
        ["ten gentle bits: less than a tenth of the gap"],
    ),
    "the fewest draws last": (
        code("for n in (1, 10, 100)", "for n in (100, 10, 1)"),
        ["the mean rises with N, by over 4 errors", "N = 1 and 10 stay below log p(x), by over 4 errors"],
    ),
    "M-step downhill, linear-Gaussian": (
        function(LinearGaussian, "m_step", downhill_step),
        [
            "(10) no step lowers the ELBO, linear-Gaussian",
            "(10) each round leaves w² / (w² + s²)",
            "(10) the climb ends at the maximum likelihood, b = x",
        ],
    ),
    "M-step downhill, Bernoulli": (
        function(BernoulliLatent, "m_step", downhill_step),
        ["(10) no step lowers the ELBO, Bernoulli"],
    ),
    "M-step that stays, linear-Gaussian": (
        function(LinearGaussian, "m_step", lazy_step),
        ["(10) an M-step opens the gap, first six, linear-Gaussian"],
    ),
    "M-step that stays, Bernoulli": (
        function(BernoulliLatent, "m_step", lazy_step),
        ["(10) an M-step opens the gap, first six, Bernoulli", "(10) what the E-steps leave grows, Bernoulli"],
    ),
    "E-step that moves θ": (
        function(inference, "coordinate_ascent", ascent_that_moves_theta),
        [f"(10) an E-step leaves log p(x) alone{name}" for name in BOTH],
    ),
    "draws of z: σ² for σ": (
        function(inference, "elbo_monte_carlo", variance_for_std),
        [f"(12) the mean of the logs is the ELBO{name}" for name in BOTH],
    ),
    "terms: log q left out": (
        function(inference, "elbo_monte_carlo", no_entropy),
        [f"(12) the mean of the logs is the ELBO{name}" for name in BOTH],
    ),
    "one draw repeated N times": (
        code("standard_normal((num_repeats, n, 1))", "standard_normal((num_repeats, 1, 1)) + np.zeros((1, n, 1))"),
        [f"N error² / s² is 1 at every N{name}" for name in BOTH],
    ),
}


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and each of its breaks from where it matters."""
    cases = [Case(broken, guards[-1], FASTER["without"]) for broken, guards in BROKEN.values()]
    return runs_of(NOTEBOOK, cases, **FASTER)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_formula_is_caught(runs, what):
    broken, guards = BROKEN[what]
    assert set(guards) <= runs.broken[broken.key]


def test_unbroken_every_claim_holds_and_each_is_guarded(runs):
    assert runs.failed == []
    assert set(runs.made) == {claim for _, guards in BROKEN.values() for claim in guards}


def test_a_broken_formula_stops_the_notebook():
    with replaced(gaussian, "kl_standard_normal", scaled(-1)), pytest.raises(ClaimError, match="actual:"):
        run_until(NOTEBOOK, "(8) reconstruction − KL(q‖p(z)), linear-Gaussian", **FASTER)


def test_a_claim_or_a_piece_of_code_that_is_not_there_is_named():
    with pytest.raises(LookupError, match="holds no code 'no such code'"):
        run_until(NOTEBOOK, "(8)", source={"no such code": ""}, **FASTER)
    with pytest.raises(LookupError, match="makes no claim 'no such claim'"):
        run_until(NOTEBOOK, "no such claim", **FASTER)
