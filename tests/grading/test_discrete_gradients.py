"""Assignment 6: its grader tells right from wrong."""

from answers import Answer, AssignmentTests


class TestDiscreteGradients(AssignmentTests):
    assignment = "discrete_gradients"
    share = slow = True

    wrong = [
        Answer(
            "in the probabilities",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    return f
""",
            says="gradient in the probabilities",
        ),
        Answer(
            "the mean left in",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    pi = np.exp(logits - logits.max())
    return pi / pi.sum() * f
""",
            says="the mean loss is not taken off",
        ),
        Answer(
            "the diagonal alone",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    return pi * (1 - pi) * f
""",
            says="not on its own alone",
        ),
        Answer(
            "a plain mean",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    pi = np.exp(logits - logits.max())
    return pi / pi.sum() * (f - np.mean(f))
""",
            says="weigh it by π",
        ),
        Answer(
            "exp overflows",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    with np.errstate(all="ignore"):
        pi = np.exp(logits) / np.sum(np.exp(logits))
    return pi * (f - pi @ f)
""",
            says="NaN",
            hidden=True,
        ),
        Answer(
            "no care at 0",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    with np.errstate(divide="ignore"):
        return np.argmax(logits - np.log(-np.log(u)), axis=1)
""",
            says="log 0 is infinite",
            earns=9,
        ),
        Answer(
            "eps slips past 1",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    with np.errstate(invalid="ignore"):
        return np.argmax(logits - np.log(-np.log(u + 1e-9)), axis=1)
""",
            says="every u is 1",
            hidden=True,
            earns=9,
        ),
        Answer(
            "moved inside too far",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    u = np.clip(u, 1e-3, 1 - 1e-3)
    return np.argmax(logits - np.log(-np.log(u)), axis=1)
""",
            says="not told apart",
            hidden=True,
            earns=9,
        ),
        Answer(
            "the sign of the noise",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    u = np.clip(u, 1e-300, 1 - 1e-16)
    return np.argmax(logits + np.log(-np.log(u)), axis=1)
""",
            says="wrong sign",
        ),
        Answer(
            "noise on the probabilities",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    u = np.clip(u, 1e-300, 1 - 1e-16)
    pi = np.exp(logits - logits.max())
    return np.argmax(pi / pi.sum() - np.log(-np.log(u)), axis=1)
""",
            says="add it to the logits",
        ),
        Answer(
            "uniform noise",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    return np.argmax(logits + u, axis=1)
""",
            says="u itself is added",
        ),
        Answer(
            "noise of its own",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    g = np.random.default_rng(0).gumbel(size=u.shape)
    return np.argmax(logits + g, axis=1)
""",
        ),
        Answer(
            "the own draw in the baseline",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    return (f - f.mean()) @ (z - pi) / len(f)
""",
            says="leave it out",
        ),
        Answer(
            "no baseline",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    return f @ (z - pi) / len(f)
""",
            says="there is no baseline",
        ),
        Answer(
            "sum over the draws",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    others = (f.sum() - f) / (len(f) - 1)
    return (f - others) @ (z - pi)
""",
            says="divide by k",
        ),
        Answer(
            "one other draw",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    return (f - np.roll(f, 1)) @ (z - pi) / len(f)
""",
            says="mean of all",
        ),
        Answer(
            "the others added up",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    return (f - (f.sum() - f)) @ (z - pi) / len(f)
""",
            says="take their mean",
        ),
        Answer(
            "leaves out every draw of the same class",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    total = 0
    for value, draw in zip(f, z):
        others = f[f != value]
        total = total + (value - (others.mean() if len(others) else 0)) * (draw - pi)
    return total / len(f)
""",
            hidden=True,
        ),
        Answer(
            "three draws, always",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    others = (f.sum() - f) / 2
    return (f - others) @ (z - pi) / 3
""",
            hidden=True,
        ),
        Answer(
            "the slope at the mean",
            "straight_through",
            """
def straight_through(p, slope):
    at_0, at_1 = slope(0.0), slope(1.0)
    return p * (1 - p) * slope(p), at_0 / (at_0 - at_1)
""",
            says="the mean of the slopes",
        ),
        Answer(
            "stops where the slope is 0",
            "straight_through",
            """
def straight_through(p, slope):
    from scipy.optimize import bisect
    return p * (1 - p) * (p * slope(1.0) + (1 - p) * slope(0.0)), bisect(slope, 0, 1)
""",
            says="not where f' is",
        ),
        Answer(
            "no slope of the sigmoid",
            "straight_through",
            """
def straight_through(p, slope):
    at_0, at_1 = slope(0.0), slope(1.0)
    return p * at_1 + (1 - p) * at_0, at_0 / (at_0 - at_1)
""",
            says="p (1 - p) is missing",
        ),
        Answer(
            "the weights of the place exchanged",
            "straight_through",
            """
def straight_through(p, slope):
    at_0, at_1 = slope(0.0), slope(1.0)
    return p * (1 - p) * (p * at_1 + (1 - p) * at_0), at_1 / (at_1 - at_0)
""",
            says="one minus this",
        ),
        Answer(
            "looks for the place in a part alone",
            "straight_through",
            """
def straight_through(p, slope):
    mean = lambda p: p * slope(1.0) + (1 - p) * slope(0.0)
    low, high = 0.05, 0.95
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < 0 else (low, middle)
    return p * (1 - p) * mean(p), low
""",
            hidden=True,
        ),
        Answer(
            "no factor K",
            "code_kl",
            """
def code_kl(pi):
    return np.sum(pi * np.log(np.where(pi > 0, pi, 1)), axis=(1, 2))
""",
            says="the prior is 1/K",
        ),
        Answer(
            "K once for the whole code",
            "code_kl",
            """
def code_kl(pi):
    return np.log(pi.shape[-1]) + np.sum(pi * np.log(np.where(pi > 0, pi, 1)), axis=(1, 2))
""",
            says="every choice brings its own",
        ),
        Answer(
            "mean over the choices",
            "code_kl",
            """
def code_kl(pi):
    kl = np.sum(pi * np.log(pi.shape[-1] * np.where(pi > 0, pi, 1)), axis=-1)
    return kl.mean(axis=1)
""",
            says="sums and no mean",
        ),
        Answer(
            "the other direction",
            "code_kl",
            """
def code_kl(pi):
    k = pi.shape[-1]
    return np.sum(-np.log(k * np.maximum(pi, 1e-300)) / k, axis=(1, 2))
""",
            says="the other direction",
        ),
        Answer(
            "NaN at 0",
            "code_kl",
            """
def code_kl(pi):
    with np.errstate(all="ignore"):
        return np.sum(pi * np.log(pi.shape[-1] * pi), axis=(1, 2))
""",
            says="0 log 0 is 0",
            earns=9,
        ),
        Answer(
            "choices for classes",
            "code_kl",
            """
def code_kl(pi):
    k = 2 if pi.shape[1] == 2 else pi.shape[1]
    return np.sum(pi * np.log(k * np.where(pi > 0, pi, 1)), axis=(1, 2))
""",
            hidden=True,
        ),
        Answer(
            "a floor that is too high",
            "code_kl",
            """
def code_kl(pi):
    return np.sum(pi * np.log(pi.shape[-1] * np.maximum(pi, 0.01)), axis=(1, 2))
""",
            hidden=True,
            earns=3,
        ),
        Answer(
            "times the temperature",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    y = np.exp(tau * (logits + g))
    return y / y.sum(axis=1, keepdims=True)
""",
            says="divide by it",
        ),
        Answer(
            "noise at full size",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    y = np.exp(logits / tau + g)
    return y / y.sum(axis=1, keepdims=True)
""",
            says="the noise is not divided",
        ),
        Answer(
            "hard",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    return np.eye(logits.shape[1])[np.argmax(logits + g, axis=1)]
""",
            says="this is the hard draw",
        ),
        Answer(
            "columns",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    y = np.exp((logits + g) / tau)
    return y / y.sum(axis=0)
""",
            says="each row should",
        ),
        Answer(
            "overflow",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    with np.errstate(all="ignore"):
        y = np.exp((logits + g) / tau)
        return y / y.sum(axis=1, keepdims=True)
""",
            hidden=True,
        ),
        Answer(
            "the largest of all rows",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    scores = (logits + g) / tau
    with np.errstate(all="ignore"):
        y = np.exp(scores - scores.max())
        return y / y.sum(axis=1, keepdims=True)
""",
            hidden=True,
        ),
    ]

    right = [
        Answer(
            "by the Jacobian",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    from scipy.special import softmax
    probs = softmax(logits)
    return (np.diag(probs) - np.outer(probs, probs)) @ f
""",
        ),
        Answer(
            "in place, with a loop",
            "exact_gradient",
            """
def exact_gradient(logits, f):
    logits -= logits.max()
    np.exp(logits, out=logits)
    logits /= logits.sum()
    f -= sum(p * value for p, value in zip(logits, f))
    f *= logits
    return list(f)
""",
        ),
        Answer(
            "a race of exponentials",
            "gumbel_draws",
            """
def gumbel_draws(logits, u):
    u = np.clip(u, 1e-300, 1 - 1e-16)
    waits = np.log(-np.log(u)) - logits
    return waits.argmin(axis=-1)
""",
        ),
        Answer(
            "two small numbers, as in public code",
            "gumbel_draws",
            """
def noise(u, eps=1e-20):
    return -np.log(-np.log(u + eps) + eps)

def gumbel_draws(logits, u):
    return [int(np.argmax(logits + noise(row))) for row in u]
""",
        ),
        Answer(
            "as a covariance: π drops out",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    f -= f.mean()
    f /= len(f) - 1
    return z.T @ f
""",
        ),
        Answer(
            "draw by draw",
            "score_gradient",
            """
def score_gradient(f, z, pi):
    total = np.zeros(len(pi))
    for i in range(len(f)):
        total += (f[i] - np.mean(np.delete(f, i))) * (z[i] - pi)
    return total / len(f)
""",
        ),
        Answer(
            "by a root finder",
            "straight_through",
            """
def straight_through(p, slope):
    from scipy.optimize import brentq
    mean = lambda q: np.dot([1 - q, q], [slope(0), slope(1)])
    return np.array([p * (1 - p) * mean(p), brentq(mean, 0, 1, xtol=1e-12)])
""",
        ),
        Answer(
            "log K less the entropy",
            "code_kl",
            """
def code_kl(pi):
    from scipy.special import entr
    batch, choices, k = pi.shape
    return choices * np.log(k) - entr(pi).sum(axis=2).sum(axis=1)
""",
        ),
        Answer(
            "with loops",
            "code_kl",
            """
def code_kl(pi):
    totals = []
    for code in pi:
        total = 0.0
        for row in code:
            total += sum(q * np.log(q * len(row)) for q in row if q > 0)
        totals.append(total)
    return totals
""",
        ),
        Answer(
            "a tiny number in the logarithm",
            "code_kl",
            """
def code_kl(pi):
    return (pi * (np.log(pi + 1e-20) + np.log(pi.shape[2]))).sum((1, 2))
""",
        ),
        Answer(
            "in logarithms, in place",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    logits += g
    logits /= tau
    logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return np.exp(logits)
""",
        ),
        Answer(
            "row by row, by SciPy",
            "relaxed_points",
            """
def relaxed_points(logits, g, tau):
    from scipy.special import softmax
    return [softmax((a + b) / tau) for a, b in zip(logits, g)]
""",
        ),
    ]
