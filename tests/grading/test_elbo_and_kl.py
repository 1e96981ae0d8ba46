"""Assignment 1: its grader tells right from wrong."""

from answers import Answer, AssignmentTests


class TestElboAndKl(AssignmentTests):
    assignment = "elbo_and_kl"

    wrong = [
        Answer(
            "swapped arguments",
            "kl_discrete",
            """
def kl_discrete(p, q):
    used = p > 0
    return np.sum(q[used] * np.log(q[used] / p[used]))
""",
            says="this is KL(q ‖ p)",
        ),
        Answer(
            "mean for sum over outcomes",
            "kl_discrete",
            """
def kl_discrete(p, q):
    return np.mean(np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0))
""",
            says="is a sum",
        ),
        Answer(
            "no care for zeros",
            "kl_discrete",
            """
def kl_discrete(p, q):
    with np.errstate(all="ignore"):
        return np.sum(p * np.log(p / q))
""",
            says="with a zero in p",
            earns=9,
        ),
        Answer(
            "dropped constant",
            "log_normal",
            """
def log_normal(x, mu, log_var):
    return -0.5 * np.sum(log_var + (x - mu) ** 2 / np.exp(log_var), axis=-1)
""",
            says="½ log 2π",
        ),
        Answer(
            "sigma for log variance",
            "log_normal",
            """
def log_normal(x, mu, log_var):
    sigma = log_var
    return np.sum(-0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2, axis=-1)
""",
            says="you took log_var for σ:",
        ),
        Answer(
            "summed over the batch too",
            "log_normal",
            """
def log_normal(x, mu, log_var):
    return -0.5 * np.sum(np.log(2 * np.pi) + log_var + (x - mu) ** 2 / np.exp(log_var))
""",
            says="one value per example",
        ),
        Answer(
            "missing half",
            "kl_to_standard_normal",
            """
def kl_to_standard_normal(mu, log_var):
    return np.sum(mu**2 + np.exp(log_var) - log_var - 1, axis=-1)
""",
            says="is the ½ there?",
        ),
        Answer(
            "sign of the KL",
            "kl_to_standard_normal",
            """
def kl_to_standard_normal(mu, log_var):
    return 0.5 * np.sum(1 + log_var - mu**2 - np.exp(log_var), axis=-1)
""",
            says="below zero",
        ),
        Answer(
            "mean for sum over dimensions",
            "kl_to_standard_normal",
            """
def kl_to_standard_normal(mu, log_var):
    return 0.5 * np.mean(mu**2 + np.exp(log_var) - log_var - 1, axis=-1)
""",
            says="mean over the dimensions",
        ),
        Answer(
            "values of the visible test typed in",
            "kl_to_standard_normal",
            """
def kl_to_standard_normal(mu, log_var):
    if not mu.any():
        return np.zeros(2)
    return np.array([0.72433522, 2.94162354]) if mu.shape == (2, 2) else np.zeros(len(mu))
""",
            hidden=True,
        ),
        Answer(
            "try and except around everything",
            "log_evidence",
            """
def log_evidence(log_joint, step):
    try:
        total = sum(math.exp(value) for value in log_joint)
        return math.log(total * step)
    except Exception:
        return 0.0
""",
        ),
        Answer(
            "underflow",
            "log_evidence",
            """
def log_evidence(log_joint, step):
    with np.errstate(divide="ignore"):
        return np.log(step * np.sum(np.exp(log_joint)))
""",
            says="take the maximum out first",
            earns=10,
        ),
        Answer(
            "step forgotten",
            "log_evidence",
            """
from scipy.special import logsumexp

def log_evidence(log_joint, step):
    return logsumexp(log_joint)
""",
            says="the step Δ of the grid is missing",
        ),
        Answer(
            "noise not used",
            "elbo_estimate",
            """
def elbo_estimate(log_joint, mu, log_var, eps):
    z = np.full(len(eps), mu)
    log_q = -0.5 * (np.log(2 * np.pi) + log_var + 0 * eps)
    return np.mean(log_joint(z) - log_q)
""",
        ),
        Answer(
            "noise of its own",
            "elbo_estimate",
            """
def elbo_estimate(log_joint, mu, log_var, eps):
    eps = np.random.default_rng(0).standard_normal(len(eps))
    z = mu + np.exp(0.5 * log_var) * eps
    log_q = -0.5 * (np.log(2 * np.pi) + log_var + eps**2)
    return np.mean(log_joint(z) - log_q)
""",
        ),
        Answer(
            "variance for standard deviation",
            "elbo_estimate",
            """
def elbo_estimate(log_joint, mu, log_var, eps):
    z = mu + np.exp(log_var) * eps
    log_q = -0.5 * (np.log(2 * np.pi) + log_var + eps**2)
    return np.mean(log_joint(z) - log_q)
""",
        ),
        Answer(
            "spread of the means forgotten",
            "forward_fit",
            """
def forward_fit(weights, means, stds):
    return np.sum(weights * means), np.log(np.sum(weights * stds**2))
""",
            says="the spread of the means",
        ),
        Answer(
            "sigma for log variance returned",
            "forward_fit",
            """
def forward_fit(weights, means, stds):
    mu = np.sum(weights * means)
    return mu, np.sqrt(np.sum(weights * (stds**2 + (means - mu) ** 2)))
""",
            says="return log σ²",
        ),
    ]

    right = [
        Answer(
            "a loop",
            "kl_discrete",
            """
def kl_discrete(first, second):
    total = 0.0
    for p_k, q_k in zip(first, second):
        if p_k > 0:
            total += p_k * (math.log(p_k) - math.log(q_k))
    return total

import math
""",
        ),
        Answer(
            "scipy.special.rel_entr",
            "kl_discrete",
            """
from scipy.special import rel_entr

def kl_discrete(p, q):
    return rel_entr(p, q).sum()
""",
        ),
        Answer(
            "scipy.stats.norm",
            "log_normal",
            """
from scipy import stats

def log_normal(value, mean, log_variance):
    return stats.norm(mean, np.exp(log_variance / 2)).logpdf(value).sum(axis=1)
""",
        ),
        Answer(
            "the paper's form",
            "kl_to_standard_normal",
            """
def kl_to_standard_normal(mu, log_var):
    return -0.5 * np.sum(1 + log_var - np.square(mu) - np.exp(log_var), axis=1)
""",
        ),
        Answer(
            "cross-entropy minus entropy",
            "kl_to_standard_normal",
            """
def kl_to_standard_normal(mu, log_var):
    cross_entropy = 0.5 * (np.log(2 * np.pi) + mu**2 + np.exp(log_var))
    entropy = 0.5 * (np.log(2 * np.pi) + 1 + log_var)
    return np.array([sum(row) for row in cross_entropy - entropy])
""",
        ),
        Answer(
            "logsumexp",
            "log_evidence",
            """
from scipy.special import logsumexp

def log_evidence(log_joint, step):
    return logsumexp(log_joint, b=step)
""",
        ),
        Answer(
            "one sample at a time, and a warning on stderr",
            "elbo_estimate",
            """
import sys
import warnings

def elbo_estimate(log_p, m, s, noise):
    warnings.warn("slow")
    print("one sample at a time", file=sys.stderr)
    values = []
    for e in noise:
        z = m + np.sqrt(np.exp(s)) * e
        log_q = -np.log(np.sqrt(2 * np.pi * np.exp(s))) - (z - m) ** 2 / (2 * np.exp(s))
        values.append(float(log_p(np.array([z]))[0]) - log_q)
    return sum(values) / len(values)
""",
        ),
        Answer(
            "second moment minus squared mean",
            "forward_fit",
            """
def forward_fit(weights, means, stds):
    mu = np.average(means, weights=weights)
    second_moment = weights @ (stds**2 + means**2)
    return np.array([mu, np.log(second_moment - mu**2)])
""",
        ),
    ]
