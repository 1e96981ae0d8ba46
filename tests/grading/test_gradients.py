"""Assignment 2: its grader tells right from wrong."""

from answers import Answer, AssignmentTests


class TestGradients(AssignmentTests):
    assignment = "gradients"

    wrong = [
        Answer(
            "noise not used",
            "reparameterise",
            """
def reparameterise(mu, log_var, eps):
    return mu.copy()
""",
            says="where is the noise?",
        ),
        Answer(
            "sigma for log variance",
            "reparameterise",
            """
def reparameterise(mu, sigma, eps):
    return mu + sigma * eps
""",
            says="you took log_var for σ:",
        ),
        Answer(
            "reused noise",
            "reparameterise",
            """
def reparameterise(mu, log_var, eps):
    return np.array([m + np.exp(0.5 * s) * eps[0] for m, s in zip(mu, log_var)])
""",
            says="each has noise of its own",
        ),
        Answer(
            "missing half",
            "pathwise_gradient",
            """
def pathwise_gradient(df, mu, log_var, eps):
    std = np.exp(0.5 * log_var)
    slope = df(mu + std * eps)
    return np.mean(slope), np.mean(slope * std * eps)
""",
            says="is the ½",
        ),
        Answer(
            "derivative by sigma",
            "pathwise_gradient",
            """
def pathwise_gradient(df, mu, log_var, eps):
    slope = df(mu + np.exp(0.5 * log_var) * eps)
    return np.mean(slope), np.mean(slope * eps)
""",
            says="the derivative with respect to σ",
        ),
        Answer(
            "sum over the samples",
            "pathwise_gradient",
            """
def pathwise_gradient(df, mu, log_var, eps):
    std = np.exp(0.5 * log_var)
    slope = df(mu + std * eps)
    return np.sum(slope), np.sum(slope * 0.5 * std * eps)
""",
            says="an expectation is a mean",
        ),
        Answer(
            "normalisation forgotten",
            "score",
            """
def score(z, mu, log_var):
    return (z - mu) / np.exp(log_var), 0.5 * (z - mu) ** 2 / np.exp(log_var)
""",
            says="−½ log σ²",
        ),
        Answer(
            "sign",
            "score",
            """
def score(z, mu, log_var):
    return (mu - z) / np.exp(log_var), 0.5 * ((z - mu) ** 2 / np.exp(log_var) - 1)
""",
            says="the sign of the first one is wrong",
        ),
        Answer(
            "score function without the score",
            "score_function_gradient",
            """
def score_function_gradient(f, mu, log_var, eps):
    value = np.mean(f(mu + np.exp(0.5 * log_var) * eps))
    return value, value
""",
            says="where is the score?",
        ),
        Answer(
            "averaged before multiplying",
            "score_function_gradient",
            """
def score_function_gradient(f, mu, log_var, eps):
    std = np.exp(0.5 * log_var)
    value = np.mean(f(mu + std * eps))
    return value * np.mean(eps / std), value * np.mean(0.5 * (eps**2 - 1))
""",
            says="multiply first, then average",
        ),
        Answer(
            "an answer that needs another question's answer",
            "score_function_gradient",
            """
def score_function_gradient(f, mu, log_var, eps):
    by_mu, by_log_var = score_of_the_samples(mu, log_var, eps)
    values = f(mu + np.exp(0.5 * log_var) * eps)
    return np.mean(values * by_mu), np.mean(values * by_log_var)
""",
        ),
        Answer(
            "sample in its own baseline",
            "leave_one_out",
            """
def leave_one_out(values):
    return np.full(len(values), np.mean(values))
""",
            says="sample i included",
        ),
        Answer(
            "expected values of the visible test typed in",
            "leave_one_out",
            """
def leave_one_out(values):
    return np.array([3.0, 2.0, 4.0, 1.0])
""",
            hidden=True,
        ),
        Answer(
            "try and except around everything",
            "leave_one_out",
            """
def leave_one_out(values):
    try:
        return [(values.total() - value) / (len(values) - 1) for value in values]
    except:
        return values
""",
        ),
        Answer(
            "one side",
            "central_differences",
            """
def central_differences(g, theta, h=1e-7):
    return np.array([(g(theta + step) - g(theta)) / h for step in h * np.eye(len(theta))])
""",
            says="the difference to one side",
            earns=10,
        ),
        Answer(
            "factor two",
            "central_differences",
            """
def central_differences(g, theta, h=1e-4):
    return np.array([(g(theta + step) - g(theta - step)) / h for step in h * np.eye(len(theta))])
""",
            says="twice the right one",
        ),
        Answer(
            "theta changed in place",
            "central_differences",
            """
def central_differences(g, theta, h=1e-4):
    result = np.zeros(len(theta))
    for j in range(len(theta)):
        theta[j] += h
        up = g(theta)
        theta[j] -= 2 * h
        result[j] = (up - g(theta)) / (2 * h)
    return result
""",
        ),
    ]

    right = [
        Answer(
            "other names, square root of the variance",
            "reparameterise",
            """
def reparameterise(mean, lv, noise):
    return np.sqrt(np.exp(lv)) * noise + mean
""",
        ),
        Answer(
            "a loop over the samples",
            "pathwise_gradient",
            """
def pathwise_gradient(df, mu, log_var, eps):
    sigma = np.exp(log_var) ** 0.5
    by_mu, by_log_var = [], []
    for e in eps:
        slope = df(np.array([mu + sigma * e]))[0]
        by_mu.append(slope)
        by_log_var.append(slope * sigma * e / 2)
    return [sum(by_mu) / len(eps), sum(by_log_var) / len(eps)]
""",
        ),
        Answer(
            "by sigma first, then the chain rule",
            "score",
            """
def score(z, mu, log_var):
    sigma = np.exp(log_var / 2)
    by_sigma = -1 / sigma + (z - mu) ** 2 / sigma**3
    return np.stack([(z - mu) / sigma**2, by_sigma * sigma / 2])
""",
        ),
        Answer(
            "scipy.stats and differences",
            "score_function_gradient",
            """
from scipy.stats import norm

def score_function_gradient(f, mu, log_var, eps):
    samples = mu + np.exp(0.5 * log_var) * eps
    log_q = lambda m, s: norm.logpdf(samples, m, np.exp(s / 2))
    by_mu = (log_q(mu + 1e-5, log_var) - log_q(mu - 1e-5, log_var)) / 2e-5
    by_log_var = (log_q(mu, log_var + 1e-5) - log_q(mu, log_var - 1e-5)) / 2e-5
    return np.mean(f(samples) * by_mu), np.mean(f(samples) * by_log_var)
""",
        ),
        Answer(
            "masked means in a list",
            "leave_one_out",
            """
def leave_one_out(values):
    n = len(values)
    return [np.mean(values[np.arange(n) != i]) for i in range(n)]
""",
        ),
        Answer(
            "changed in place and put back",
            "central_differences",
            """
def central_differences(function, point, h=1e-4):
    gradient = np.empty(len(point))
    for j, kept in enumerate(point.copy()):
        point[j] = kept + h
        above = function(point)
        point[j] = kept - h
        gradient[j] = 0.5 * (above - function(point)) / h
        point[j] = kept
    return gradient
""",
        ),
    ]
