"""Assignment 5: its grader tells right from wrong."""

from answers import Answer, AssignmentTests


class TestImportanceWeighting(AssignmentTests):
    assignment = "importance_weighting"
    students = 10  # a test of theirs takes a second; a hundred passed once
    share = slow = True

    wrong = [
        Answer(
            "mean of the logarithms",
            "importance_bound",
            """
def importance_bound(log_w):
    return np.mean(log_w, axis=-1)
""",
            says="this is the mean of log w, the ELBO",
        ),
        Answer(
            "sum for mean",
            "importance_bound",
            """
def importance_bound(log_w):
    return np.logaddexp.reduce(log_w, axis=-1)
""",
            says="divide by k",
        ),
        Answer(
            "underflow",
            "importance_bound",
            """
def importance_bound(log_w):
    with np.errstate(divide="ignore"):
        return np.log(np.mean(np.exp(log_w), axis=-1))
""",
            says="exp underflows",
            earns=10,
        ),
        Answer(
            "the largest of the whole batch",
            "importance_bound",
            """
def importance_bound(log_w):
    largest = log_w.max()
    with np.errstate(divide="ignore"):
        return largest + np.log(np.mean(np.exp(log_w - largest), axis=-1))
""",
            hidden=True,
            earns=10,
        ),
        Answer(
            "the largest alone",
            "importance_bound",
            """
def importance_bound(log_w):
    return np.max(log_w, axis=-1)
""",
            says="the others count too",
        ),
        Answer(
            "upside down",
            "effective_size",
            """
def effective_size(log_w):
    w = np.exp(log_w - np.max(log_w))
    return np.sum(w**2) / np.sum(w) ** 2
""",
            says="one over it",
        ),
        Answer(
            "means for sums",
            "effective_size",
            """
def effective_size(log_w):
    w = np.exp(log_w - np.max(log_w))
    return np.mean(w) ** 2 / np.mean(w**2)
""",
            says="no means",
        ),
        Answer(
            "overflow",
            "effective_size",
            """
def effective_size(log_w):
    log_w = log_w - np.minimum(np.max(log_w), 0)
    with np.errstate(all="ignore"):
        w = np.exp(log_w)
        return np.sum(w) ** 2 / np.sum(w**2)
""",
            hidden=True,
            earns=9,
        ),
        Answer(
            "entropy",
            "effective_size",
            """
def effective_size(log_w):
    w = np.exp(log_w - np.max(log_w))
    share = w / w.sum()
    return np.exp(-np.sum(share * np.log(np.maximum(share, 1e-300))))
""",
            says="a cousin of (2)",
        ),
        Answer(
            "variance",
            "second_moment",
            """
def second_moment(mu, log_var):
    var = np.exp(log_var)
    return var / np.sqrt(2 * var - 1) * np.exp(mu**2 / (2 * var - 1)) - 1 if 2 * var > 1 else np.inf
""",
            says="mean square",
            earns=4,
        ),
        Answer(
            "no mean",
            "second_moment",
            """
def second_moment(mu, log_var):
    var = np.exp(log_var)
    return var / np.sqrt(2 * var - 1) if 2 * var > 1 else np.inf
""",
            says="complete the square",
            earns=4,
        ),
        Answer(
            "NaN where it diverges",
            "second_moment",
            """
def second_moment(mu, log_var):
    var = np.exp(log_var)
    with np.errstate(all="ignore"):
        return var / np.sqrt(2 * var - 1) * np.exp(mu**2 / (2 * var - 1))
""",
            says="the answer is np.inf",
            earns=10,
        ),
        Answer(
            "infinite a little too soon",
            "second_moment",
            """
def second_moment(mu, log_var):
    var = np.exp(log_var)
    if var < 0.55:
        return np.inf
    return var / np.sqrt(2 * var - 1) * np.exp(mu**2 / (2 * var - 1))
""",
            hidden=True,
            earns=10,
        ),
        Answer(
            "missing half",
            "bound_of_two",
            """
def bound_of_two(log_w, prob):
    return prob @ np.logaddexp(log_w[:, None], log_w) @ prob
""",
            says="the two weights are averaged",
        ),
        Answer(
            "one sample",
            "bound_of_two",
            """
def bound_of_two(log_w, prob):
    return prob @ log_w
""",
            says="this is L_1",
        ),
        Answer(
            "exp underflows",
            "bound_of_two",
            """
def bound_of_two(log_w, prob):
    w = np.exp(log_w)
    with np.errstate(divide="ignore"):
        return prob @ np.log((w[:, None] + w) / 2) @ prob
""",
            hidden=True,
        ),
        Answer(
            "pairs of two places alone",
            "bound_of_two",
            """
def bound_of_two(log_w, prob):
    pairs = np.logaddexp(log_w[:, None], log_w) - np.log(2)
    np.fill_diagonal(pairs, 0)
    return prob @ pairs @ prob
""",
            says="two equal places",
        ),
        Answer(
            "weights once",
            "doubly_gradient",
            """
def doubly_gradient(slope, log_w, mu, log_var, eps):
    w = np.exp(log_w - log_w.max())
    std = np.exp(0.5 * log_var)
    pull = w / w.sum() * slope(mu + std * eps)
    return pull.sum(), np.sum(pull * 0.5 * std * eps)
""",
            says="(5) has their squares",
        ),
        Answer(
            "by sigma",
            "doubly_gradient",
            """
def doubly_gradient(slope, log_w, mu, log_var, eps):
    w = np.exp(log_w - log_w.max())
    std = np.exp(0.5 * log_var)
    pull = (w / w.sum()) ** 2 * slope(mu + std * eps)
    return pull.sum(), np.sum(pull * eps)
""",
            says="with respect to σ",
        ),
        Answer(
            "not normalised",
            "doubly_gradient",
            """
def doubly_gradient(slope, log_w, mu, log_var, eps):
    std = np.exp(0.5 * log_var)
    pull = np.exp(2 * log_w) * slope(mu + std * eps)
    return pull.sum(), np.sum(pull * 0.5 * std * eps)
""",
            says="not normalised",
        ),
        Answer(
            "slope without the noise of four",
            "doubly_gradient",
            """
def doubly_gradient(slope, log_w, mu, log_var, eps):
    w = np.exp(log_w - log_w.max())
    std = np.exp(0.5 * log_var)
    pull = (w / w.sum()) ** 2 * slope(mu + std * eps)
    return pull[:4].sum(), np.sum((pull * 0.5 * std * eps)[:4])
""",
            hidden=True,
        ),
        Answer(
            "counted from 1",
            "resampled",
            """
def resampled(log_w, u):
    w = np.exp(log_w - log_w.max())
    return np.searchsorted(np.cumsum(w) / w.sum(), u, side="right") + 1
""",
            says="counts from 0",
        ),
        Answer(
            "evenly",
            "resampled",
            """
def resampled(log_w, u):
    return np.floor(len(log_w) * u).astype(int)
""",
            says="where are the weights?",
        ),
        Answer(
            "noise of its own",
            "resampled",
            """
def resampled(log_w, u):
    w = np.exp(log_w - log_w.max())
    return np.random.default_rng(0).choice(len(w), size=len(u), p=w / w.sum())
""",
        ),
        Answer(
            "weights that underflow",
            "resampled",
            """
def resampled(log_w, u):
    w = np.exp(np.maximum(log_w, -700))
    return np.searchsorted(np.cumsum(w) / w.sum(), u, side="right")
""",
            hidden=True,
        ),
    ]

    right = [
        Answer(
            "by SciPy",
            "importance_bound",
            """
def importance_bound(log_w):
    from scipy.special import logsumexp
    return logsumexp(log_w, axis=-1) - np.log(log_w.shape[-1])
""",
        ),
        Answer(
            "image by image, in place",
            "importance_bound",
            """
def importance_bound(log_w):
    values = []
    for row in log_w:
        largest = row.max()
        row -= largest
        values.append(largest + np.log(np.exp(row).mean()))
    return values
""",
        ),
        Answer(
            "shares",
            "effective_size",
            """
def effective_size(log_w):
    from scipy.special import softmax
    return 1 / np.sum(softmax(log_w) ** 2)
""",
        ),
        Answer(
            "in logarithms",
            "effective_size",
            """
def effective_size(log_w):
    return np.exp(2 * np.logaddexp.reduce(log_w) - np.logaddexp.reduce(2 * log_w))
""",
        ),
        Answer(
            "by quadrature",
            "second_moment",
            """
def second_moment(mu, log_var):
    var = np.exp(log_var)
    if var <= 0.5:
        return float("inf")
    lead, slope = 1 - 1 / (2 * var), mu / var
    return np.sqrt(var / (2 * lead)) * np.exp(mu**2 / (2 * var) + slope**2 / (4 * lead))
""",
        ),
        Answer(
            "with a loop",
            "bound_of_two",
            """
def bound_of_two(log_w, prob):
    total = 0.0
    for a, p in zip(log_w, prob):
        for b, q in zip(log_w, prob):
            total += p * q * (max(a, b) + np.log((1 + np.exp(-abs(a - b))) / 2))
    return total
""",
        ),
        Answer(
            "with a matrix",
            "doubly_gradient",
            """
def doubly_gradient(slope, log_w, mu, log_var, eps):
    share = np.exp(log_w - np.logaddexp.reduce(log_w))
    std = np.exp(log_var / 2)
    z = std * eps + mu
    return np.stack([np.ones_like(eps), (z - mu) / 2]) @ (share * share * slope(z))
""",
        ),
        Answer(
            "by comparison",
            "resampled",
            """
def resampled(log_w, u):
    share = np.exp(log_w - np.logaddexp.reduce(log_w))
    reached = np.cumsum(share)
    return (u[:, None] >= reached[:-1]).sum(axis=1)
""",
        ),
    ]
