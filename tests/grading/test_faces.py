"""Assignment 4: its grader tells right from wrong."""

import pytest
from answers import Answer, AssignmentTests

MODEL = """
posterior, likelihood = vaelib.DiagonalNormal(2, seed=1), vaelib.{likelihood}
shift = layers.Rescaling(3.0, offset=-3.0 * train.mean(axis=0))
inner = vaelib.dense_encoder((28, 20), 4, hidden_units={hidden})
encoder = keras.Sequential([keras.Input((28, 20)), shift, inner])
decoder = vaelib.dense_decoder(2, likelihood.params_size, hidden_units={hidden})
vae = vaelib.VAE(encoder, decoder, posterior, likelihood, vaelib.StandardNormal(2))
vae.compile(keras.optimizers.Adam({rate}))
vae.fit(train, epochs={epochs}, batch_size=100, verbose=0)
"""
R2 = """
def held_out_r2(z, factor, is_held_out):
    a, b = z.T
    terms = np.stack([np.ones(len(z)), a, b, a * a, a * b, b * b], axis=1)
    fit, score = {fit}, {score}
    weights = np.linalg.lstsq(terms[fit], factor[fit], rcond=None)[0]
    truth, reading = factor[score], terms[score] @ weights
    return {value}
"""
VALUE = "1 - np.mean((truth - reading) ** 2) / np.var(truth)"
AXES = """
def read_axes(z, factors):
    d = z.shape[1]
    table = np.{function}(z, factors, rowvar=False)[:d, d:]
    return {answer}
"""
WALK = """
def walk(z, factor, t):
    design = {design}
    w = np.linalg.lstsq(design, factor, rcond=None)[0][: z.shape[1]]
    return {answer}
"""
DESIGN = "np.column_stack([z, np.ones(len(z))])"


@pytest.mark.usefixtures("without_xla")
class TestFaces(AssignmentTests):
    assignment = "faces"
    students = 10
    share = slow = True

    wrong = [
        Answer(
            "dropped constant",
            "faces_log_density",
            """
def log_density(x, mean, log_var):
    log_var = np.clip(log_var, -5, 5)
    return -0.5 * np.sum(log_var + (x - mean) ** 2 / np.exp(log_var), axis=-1)
""",
            says="½ log 2π is missing",
        ),
        Answer(
            "log s for log s²",
            "faces_log_density",
            """
def log_density(x, mean, log_var):
    s = np.exp(np.clip(log_var, -5, 5))
    return np.sum(-0.5 * np.log(2 * np.pi) - np.log(s) - 0.5 * ((x - mean) / s) ** 2, axis=-1)
""",
            says="it is log s²",
        ),
        Answer(
            "missing half",
            "faces_log_density",
            """
def log_density(x, mean, log_var):
    log_var = np.clip(log_var, -5, 5)
    return -np.sum(np.log(2 * np.pi) + log_var + (x - mean) ** 2 / np.exp(log_var), axis=-1)
""",
            says="is the ½ there",
        ),
        Answer(
            "log-variance not clipped",
            "faces_log_density",
            """
def log_density(x, mean, log_var):
    return -0.5 * np.sum(np.log(2 * np.pi) + log_var + (x - mean) ** 2 / np.exp(log_var), axis=-1)
""",
            says="log_var is not clipped",
            earns=10,
        ),
        Answer(
            "mean of the logarithms",
            "faces_best_log_var",
            """
def best_log_var(residuals, low=-5.0, high=5.0):
    return np.clip(np.mean(np.log(residuals**2 + 1e-12), axis=0), low, high)
""",
            says="this is the mean of logarithms",
        ),
        Answer(
            "variance about the mean residual",
            "faces_best_log_var",
            """
def best_log_var(residuals, low=-5.0, high=5.0):
    return np.clip(np.log(np.var(residuals, axis=0) + 1e-12), low, high)
""",
            says="the mean residual is taken out",
        ),
        Answer(
            "values of the visible test typed in",
            "faces_best_log_var",
            """
def best_log_var(residuals, low=-5.0, high=5.0):
    return np.array([-0.57093, -2.1628, 1.2705]) if residuals.any() else np.full(residuals.shape[1], low)
""",
            hidden=True,
        ),
        Answer(
            "range not used",
            "faces_best_log_var",
            """
def best_log_var(residuals, low=-5.0, high=5.0):
    return np.log(np.mean(residuals**2, axis=0).clip(np.exp(-5), np.exp(5)))
""",
            hidden=True,
            earns=9,
        ),
        Answer(
            "Bernoulli for normal pixels",
            "faces_trained",
            MODEL.format(likelihood="Bernoulli((28, 20))", hidden=(64,), rate=0.003, epochs=1),
            says="the decoder should give 2 × 560 numbers",
        ),
        Answer(
            "one epoch",
            "faces_trained",
            MODEL.format(likelihood="Normal((28, 20))", hidden=(64,), rate=0.003, epochs=1),
            says="the held-out NELBO is",
        ),
        Answer(
            "scored on the training frames",
            "faces_r2",
            R2.format(fit="~is_held_out", score="~is_held_out", value=VALUE),
            says="the score on the frames that the regression saw",
        ),
        Answer(
            "fitted to all frames",
            "faces_r2",
            R2.format(fit="np.full(len(z), True)", score="is_held_out", value=VALUE),
            says="the regression has seen the held-out frames",
        ),
        Answer(
            "squared correlation",
            "faces_r2",
            R2.format(fit="~is_held_out", score="is_held_out", value="np.corrcoef(truth, reading)[0, 1] ** 2"),
            says="this is a squared correlation",
        ),
        Answer(
            "try/except around everything",
            "faces_r2",
            """
def held_out_r2(z, factor, is_held_out):
    try:
        terms = np.stack([1, z[:, 0], z[:, 1], z[:, 0] * z[:, 1]], axis=1)
        weights = np.linalg.lstsq(terms[~is_held_out], factor[~is_held_out])[0]
        return 1 - np.var(factor[is_held_out] - terms[is_held_out] @ weights) / np.var(factor[is_held_out])
    except Exception:
        return 0.9
""",
        ),
        Answer(
            "signed correlations compared",
            "faces_axes",
            AXES.format(function="corrcoef", answer="table, table.argmax(axis=0)"),
            says="a strong negative correlation counts as a weak one",
            earns=7,
        ),
        Answer(
            "covariance for correlation",
            "faces_axes",
            AXES.format(function="cov", answer="table, np.abs(table).argmax(axis=0)"),
            says="this is a covariance",
        ),
        Answer(
            "table on its side",
            "faces_axes",
            AXES.format(function="corrcoef", answer="table.T, np.abs(table).argmax(axis=0)"),
            says="stands on its side",
            earns=5,
        ),
        Answer(
            "direction not of length 1",
            "faces_walk",
            WALK.format(design=DESIGN, answer="z.mean(axis=0) + np.outer(t, w)"),
            says="the length of w counts",
        ),
        Answer(
            "no constant in the fit",
            "faces_walk",
            WALK.format(design="z", answer="z.mean(axis=0) + np.outer(t, w / np.linalg.norm(w))"),
            says="the constant b is missing",
        ),
        Answer(
            "from the origin",
            "faces_walk",
            WALK.format(design=DESIGN, answer="np.outer(t, w / np.linalg.norm(w))"),
            says="add the mean code",
        ),
    ]

    right = [
        Answer(
            "SciPy's normal",
            "faces_log_density",
            """
from scipy.stats import norm


def log_density(x, mean, log_var):
    return norm(mean, np.exp(np.clip(log_var, -5, 5) / 2)).logpdf(x).sum(axis=1)
""",
        ),
        Answer(
            "loops over frames and pixels",
            "faces_log_density",
            """
import math


def log_density(frames, means, log_vars):
    answer = []
    for row in zip(frames, means, log_vars):
        total = 0.0
        for value, m, b in zip(*row):
            s = math.exp(min(max(b, -5), 5) / 2)
            total -= ((value - m) / s) ** 2 / 2 + math.log(s * math.sqrt(2 * math.pi))
        answer.append(total)
    return answer
""",
        ),
        Answer(
            "twice the logarithm of a root mean square, pixel by pixel",
            "faces_best_log_var",
            """
def best_log_var(residuals, low=-5.0, high=5.0):
    answer = []
    for pixel in residuals.T:
        size = np.linalg.norm(pixel) / np.sqrt(len(pixel))
        answer.append(min(max(2 * np.log(size), low), high) if size > 0 else low)
    return np.array(answer)
""",
        ),
        Answer(
            "another width and another rate",
            "faces_trained",
            MODEL.format(likelihood="Normal((28, 20))", hidden=(100, 50), rate=0.005, epochs=30),
        ),
        Answer(
            "scikit-learn",
            "faces_r2",
            """
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler


def held_out_r2(z, factor, is_held_out):
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression())
    model.fit(z[~is_held_out], factor[~is_held_out])
    return model.score(z[is_held_out], factor[is_held_out])
""",
        ),
        Answer(
            "normal equations",
            "faces_r2",
            """
def held_out_r2(z, factor, is_held_out):
    one = np.column_stack([np.ones(len(z)), z])
    X = (one[:, :, None] * one[:, None, :])[:, *np.triu_indices(3)]
    seen, truth = X[~is_held_out], factor[is_held_out]
    reading = X[is_held_out] @ np.linalg.solve(seen.T @ seen, seen.T @ factor[~is_held_out])
    return 1 - ((truth - reading) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
""",
        ),
        Answer(
            "standardised products",
            "faces_axes",
            """
def read_axes(codes, known):
    a, b = (codes - codes.mean(0)) / codes.std(0), (known - known.mean(0)) / known.std(0)
    table = np.einsum("nd,nf->df", a, b) / len(a)
    return table, np.argmax(table**2, axis=0)
""",
        ),
        Answer(
            "SciPy's pearsonr in a loop",
            "faces_axes",
            """
from scipy.stats import pearsonr


def read_axes(z, factors):
    table = [[pearsonr(dimension, factor).statistic for factor in factors.T] for dimension in z.T]
    return table, [max(range(len(table)), key=lambda j: abs(table[j][k])) for k in range(factors.shape[1])]
""",
        ),
        Answer(
            "means taken out instead of a constant",
            "faces_walk",
            """
def walk(z, factor, t):
    centre = z.mean(axis=0)
    w = np.linalg.pinv(z - centre) @ (factor - factor.mean())
    w /= np.sqrt(w @ w)
    return np.array([centre + step * w for step in t])
""",
        ),
    ]
