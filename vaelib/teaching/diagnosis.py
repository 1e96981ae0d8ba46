"""Checks that a VAE computes the loss that it should; they find the mistakes of `vaelib.teaching.mistakes`.

`check_loss` makes seven on a model as it is, trained or not: each holds a part against its definition. `check_worth`
holds what a trained model reports against what its networks are worth. `check_learning` lets a fresh model learn two
images by heart.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.teaching.mistakes import cured

TOTAL, DRAWS, SHAPE, NOISE, FRESH, KL, EVALUATION = NAMES = (
    "the likelihood adds up to 1",
    "draws, mean and density of the likelihood agree",
    "the sampler takes any batch size",
    "the noise has mean 0 and variance 1",
    "the noise is new at each call and for each example",
    "the KL is the mean of log q − log p",
    "the evaluated loss is minus the ELBO",
)
WORTH = "the loss reports what the networks are worth"
LEARNING = "two images can be learned by heart"
NUM_ERRORS = 5.0  # a right model fails one check in a few hundred thousand
NUM_PIXEL_DRAWS = 10_000
DRAWS_AT_ONCE = 10  # of all images: more take hundreds of megabytes
NUM_EVALUATIONS = 20  # at most: each goes through the whole model


class Check(NamedTuple):
    """One check: its name, whether it passed, and the numbers behind it."""

    name: str
    passed: bool
    detail: str

    def __repr__(self):
        return f"{'✓' if self.passed else '✗'} {self.name}   {self.detail}"


class Diagnosis(tuple):
    """The checks that were made, printed one to a line."""

    @property
    def failed(self):
        """The names of the checks that failed, a list."""
        return [check.name for check in self if not check.passed]

    def __repr__(self):
        return "\n".join(map(repr, self))


def check_loss(vae, x, num_draws=50, seed=0):
    """Check the parts of a VAE and its loss against what their definitions say. Training is not needed.

    The likelihood is tried on two pixels, where its sum or integral can be computed. A Bernoulli must add up over black
    and white pixels; when x holds grey ones it must integrate over [0, 1], which it does not. Other likelihoods are
    taken as densities of real numbers. A model with beta other than 1 fails the last check: its loss is no bound.

    Args:
        vae: the model, with a DiagonalNormal or FullNormal posterior.
        x: images of the kind the model is for, shape (n, *data_shape); 100 of them are used.
        num_draws: number of draws of the noise behind each Monte Carlo check.
        seed: seed of the noise that is passed in.

    Returns:
        A Diagnosis; its `failed` holds the names of the checks that did not pass.

    Raises:
        ValueError: x does not fit the likelihood, or num_draws is below 2.
    """
    x = vae.likelihood.check(x)[:100]
    if checks.positive_int("num_draws", num_draws) < 2:
        raise ValueError("num_draws must be at least 2, for an error bar; received 1.")
    params = vae.posterior_params(x)
    eps = np.random.default_rng(seed).standard_normal((num_draws, len(x), vae.latent_dim)).astype("float32")
    made = [_total(vae.likelihood, x), _moments(vae.likelihood, x), _any_batch_size(vae.posterior, params)]
    try:
        noise = _noise(vae.posterior, params, num_draws)
    except Exception as error:  # each backend has its own
        made += [Check(name, False, f"the sampler failed: {type(error).__name__}") for name in (NOISE, FRESH)]
    else:
        made += [_standard(noise), _fresh(noise, _compiled_noise(vae.posterior, params))]
    terms = _terms(vae, x, eps)
    return Diagnosis([*made, _kl(vae, params, eps, terms), _evaluation(vae, x, terms)])


def total_probability(likelihood, x):
    """Add up a likelihood of the same kind over all images of two pixels, at fixed random parameters.

    Args:
        likelihood: any Likelihood.
        x: images it is meant for; they say whether a Bernoulli's pixels are black and white or grey.

    Returns:
        The sum or integral, 1 for a distribution.
    """
    return float(_two_pixels(likelihood, x)[3].sum())


def _two_pixels(likelihood, x):
    """Return a likelihood of two pixels, its fixed parameters, all images of two pixels, and the weight of each."""
    small = type(likelihood).from_config({**likelihood.get_config(), "event_shape": (2,)})
    values, weights = _support(likelihood, x)
    pairs = np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2).astype("float32")
    params = 0.5 * np.random.default_rng(0).standard_normal((1, small.params_size)).astype("float32")
    log_prob = ops.convert_to_numpy(small.log_prob(pairs, np.repeat(params, len(pairs), axis=0)))
    return small, params, pairs, np.exp(log_prob.astype(float)) * np.outer(weights, weights).ravel()


def _support(likelihood, x):
    """Return the values a pixel can take, with the weights of a sum or of a quadrature over them."""
    if likelihood.support == "real":
        values = np.linspace(-12, 13, 401)  # eight standard deviations and more around means in [0, 1]
        return values, np.full(401, values[1] - values[0])
    if likelihood.support == "binary" and np.isin(x, (0, 1)).all():
        return np.array([0.0, 1.0]), np.ones(2)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return (nodes + 1) / 2, weights / 2


def _total(likelihood, x):
    total = total_probability(likelihood, x)
    return Check(TOTAL, bool(abs(total - 1) < 1e-3), f"{total:.4g} over all images of two pixels")


def _moments(likelihood, x):
    """Compare three roads to a pixel's mean, and two to its variance: the density, draws, and `mean`."""
    small, params, pairs, mass = _two_pixels(likelihood, x)
    mass = mass / mass.sum()
    mean = mass @ pairs
    squares = (pairs - mean) ** 2
    error = np.sqrt(np.stack([mass @ squares, mass @ squares**2 - (mass @ squares) ** 2]).clip(1e-12) / NUM_PIXEL_DRAWS)
    draws = ops.convert_to_numpy(small.sample(np.repeat(params, NUM_PIXEL_DRAWS, axis=0))).astype(float)
    drawn = np.stack([draws.mean(axis=0), ((draws - mean) ** 2).mean(axis=0)])
    off = np.abs(drawn - [mean, mass @ squares]) > NUM_ERRORS * error
    stated = ops.convert_to_numpy(small.mean(params))[0].astype(float)
    passed = not off.any() and bool(np.abs(stated - mean).max() < 1e-3)
    detail = f"mean {mean[0]:.3f} by the density, {drawn[0, 0]:.3f} by draws, {stated[0]:.3f} by mean()"
    deviations = np.sqrt([(mass @ squares)[0], drawn[1, 0]])
    return Check(DRAWS, passed, f"{detail}; standard deviation {deviations[0]:.3f} and {deviations[1]:.3f}")


def _any_batch_size(posterior, params):
    for size in (len(params), len(params) // 2 + 1):
        try:
            shape = tuple(posterior.sample(params[:size]).shape)
        except Exception as error:
            return Check(SHAPE, False, f"{size} examples: {type(error).__name__}")
        if shape != (size, *posterior.event_shape):
            return Check(SHAPE, False, f"{size} examples gave codes of shape {shape}")
    return Check(SHAPE, True, f"{len(params)} examples, and {len(params) // 2 + 1}")


def _noise(posterior, params, num_draws):
    """Recover the noise behind the sampler's codes, shape (num_draws, n, latent_dim)."""
    mean, spread = (ops.convert_to_numpy(part).astype(float) for part in posterior.split(params))
    if spread.ndim == 2:  # log-variances; else the Cholesky factor
        spread = np.exp(0.5 * spread)[..., None] * np.eye(mean.shape[-1])
    codes = np.stack([ops.convert_to_numpy(posterior.sample(params)) for _ in range(num_draws)])
    return np.linalg.solve(spread, (codes - mean)[..., None])[..., 0]


def _standard(noise):
    numbers = noise[0].size  # a call's mean has error 1 / sqrt(numbers), its mean square sqrt(2 / numbers)
    mean, mean_off = _off(noise.mean(axis=(1, 2)), 0.0, numbers**-0.5)
    square, square_off = _off((noise**2).mean(axis=(1, 2)), 1.0, (2 / numbers) ** 0.5)
    return Check(NOISE, not (mean_off or square_off), f"mean {mean:.3f}, mean square {square:.3f}")


def _compiled_noise(posterior, params):
    """Return four calls of the sampler in one compiled program, as in `fit`, each of shape (n, latent_dim)."""
    inputs = keras.Input(params.shape[1:])
    sampler = keras.Model(inputs, _Sampler(posterior)(inputs))
    calls = sampler.predict(np.concatenate([params] * 4), batch_size=len(params), verbose=0)
    return np.split(calls, 4)


class _Sampler(keras.layers.Layer):
    def __init__(self, posterior):
        super().__init__()
        self.posterior = posterior

    def call(self, params):
        return self.posterior.sample(params)


def _fresh(noise, compiled):
    if np.array_equal(compiled[0], compiled[-1]):
        return Check(FRESH, False, "a compiled program draws the same numbers at each call")
    noise = noise / max(np.sqrt(np.mean(noise**2)), 1e-12)  # small noise, too, must be new
    error = noise[0].size ** -0.5
    calls, calls_off = _off((noise[1:] * noise[:-1]).mean(axis=(1, 2)), 0.0, error)
    rows, rows_off = _off((noise[:, 1:] * noise[:, :-1]).mean(axis=(1, 2)), 0.0, error)
    return Check(FRESH, not (calls_off or rows_off), f"mean product {calls:.3f} of two calls, {rows:.3f} of two rows")


def _off(values, expected, floor):
    """Return the mean of values and whether it is off; their error is taken as at least the floor."""
    error = max(values.std(ddof=1), floor) / np.sqrt(len(values))
    return values.mean(), bool(not abs(values.mean() - expected) <= NUM_ERRORS * error)


def _terms(vae, x, eps):
    """Return what the objective makes of each draw of the noise: batch means by name, shape (num_draws,)."""
    means: dict[str, list] = {}
    for few in np.split(eps, range(DRAWS_AT_ONCE, len(eps), DRAWS_AT_ONCE)):
        for name, term in vae.loss_terms(x, noise=few).items():  # a closed form is the same for all draws
            values = np.broadcast_to(ops.convert_to_numpy(term), few.shape[:2])
            means.setdefault(name, []).append(values.mean(axis=1))
    return {name: np.concatenate(parts) for name, parts in means.items()}


def _kl(vae, params, eps, terms):
    z = vae.posterior.sample(params, eps)
    ratios = vae.posterior.log_prob(z, params) - vae.prior.log_prob(z)
    sampled, stated = ops.convert_to_numpy(ratios).astype(float).mean(axis=1), terms["kl"]
    _, off = _off(sampled - stated, 0.0, 1e-4 * (1 + abs(stated).max()))
    return Check(KL, not off, f"{stated.mean():.3f} nats against {sampled.mean():.3f}")


def _evaluation(vae, x, terms):
    defined = terms["reconstruction"] + terms["kl"]
    reported = []
    for _ in defined[:NUM_EVALUATIONS]:
        try:
            loss = vae.compute_loss(x=x, training=False)
        except Exception as error:
            return Check(EVALUATION, False, f"it failed: {type(error).__name__}")
        reported.append(float(loss))
    reported = np.array(reported)
    detail = f"{reported.mean():.3f} nats against {defined.mean():.3f}"
    if np.ptp(reported) == 0:
        return Check(EVALUATION, False, f"{detail}; each evaluation gives the same number: no noise")
    noise = np.hypot(*(values.std(ddof=1) / np.sqrt(len(values)) for values in (reported, defined)))
    return Check(EVALUATION, bool(abs(reported.mean() - defined.mean()) <= NUM_ERRORS * noise), detail)


def check_worth(vae, x, likelihood=None, num_evaluations=10):
    """Hold what a model's own loss says of x against what its networks are worth in right parts.

    Args:
        vae: a trained and compiled model.
        x: held-out images, shape (n, *data_shape).
        likelihood: as for `vaelib.teaching.mistakes.cured`.
        num_evaluations: how often both are computed, each time with new noise.

    Returns:
        A Check; a right model passes, up to the noise of sampling z.
    """
    right = cured(vae, likelihood)
    reported = np.array(
        [vae.evaluate(x, batch_size=100, verbose=0, return_dict=True)["loss"] for _ in range(num_evaluations)]
    )
    worth = np.array([-right.elbo(x, num_samples=1).mean() for _ in range(num_evaluations)])
    error = np.hypot(reported.std(ddof=1), worth.std(ddof=1)) / np.sqrt(num_evaluations)
    gap = worth.mean() - reported.mean()
    passed = bool(abs(gap) <= NUM_ERRORS * error)  # not finite: not passed
    return Check(WORTH, passed, f"it reports {reported.mean():.2f} nats, they are worth {worth.mean():.2f}")


def check_learning(vae, pair, num_steps=300, learning_rate=0.01):
    """Let a fresh model learn two images by heart, and look whether it can tell them apart.

    Args:
        vae: an untrained model; this trains it.
        pair: two different images, shape (2, *data_shape).
        num_steps: training steps on batches of 100, half of them of each image.
        learning_rate: of Adam.

    Returns:
        A Check; it passes where the copies miss by less than half of what the average of the two images would miss.
    """
    pair = vae.likelihood.check(pair)
    vae.compile(keras.optimizers.Adam(learning_rate), jit_compile=False)
    try:
        batches = (np.repeat(pair, 50, axis=0) for _ in range(num_steps))
        vae.fit(batches, steps_per_epoch=num_steps, verbose=0)
        missed = np.abs(vae.reconstruct(pair) - pair).mean()  # refused where the codes are no longer finite
    except Exception as error:  # each backend has its own
        return Check(LEARNING, False, f"it failed: {type(error).__name__}")
    average = np.abs(pair - pair.mean(axis=0)).mean()
    passed = bool(missed < 0.5 * average)
    return Check(LEARNING, passed, f"a pixel of the copies is off by {missed:.3f}, of the average by {average:.3f}")
