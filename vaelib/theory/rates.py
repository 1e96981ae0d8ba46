"""Rate and distortion: what a Gaussian source costs, and the linear β-VAE, which buys exactly that.

A linear VAE with decoder noise s² and weight β on its KL fills Shannon's reversed basin: the water stands at θ = β s².
A principal direction whose variance λ lies above it is coded with ½ log(λ/θ) nats and comes back with the squared
error θ; one below is not coded at all and is lost whole. Everything in nats; errors are squared errors per example.
"""

import math
from typing import NamedTuple

import numpy as np

from vaelib import checks
from vaelib.theory import gaussian


class WaterFilling(NamedTuple):
    """How a Gaussian source is coded at one level of the water.

    Attributes:
        level: θ, the squared error of every direction that is coded.
        rates: nats of each direction, shape (directions,), in the order of its variances.
        errors: squared error of each direction, same shape.
    """

    level: float
    rates: np.ndarray
    errors: np.ndarray

    @property
    def rate(self):
        """Nats in all."""
        return float(self.rates.sum())

    @property
    def error(self):
        """Squared error in all."""
        return float(self.errors.sum())

    @property
    def num_active(self):
        """How many directions are coded."""
        return int(np.sum(self.rates > 0))


def reverse_water_filling(variances, level, most=None):
    """The cheapest code of independent normals whose errors must not exceed the water level.

    Args:
        variances: λ of each direction, shape (directions,), zeros allowed.
        level: θ, above 0.
        most: at most so many directions may be coded, those of the largest variances; None for all.
    Returns:
        WaterFilling: rates max(0, ½ log(λ/θ)) and errors min(θ, λ).
    Raises:
        ValueError: a negative variance, a level not above 0, or a `most` that is no whole number of at least 1.
    Source: Cover and Thomas (2006), theorem 10.3.3.
    """
    variances = _checked_variances(variances)
    level = checks.positive_float("level", level)
    coded = variances > level
    if most is not None:
        largest = np.argsort(-variances, kind="stable")[: checks.positive_int("most", most)]
        coded &= np.isin(np.arange(len(variances)), largest)
    rates = np.zeros(len(variances))
    rates[coded] = 0.5 * np.log(variances[coded] / level)
    return WaterFilling(level, rates, np.where(coded, level, variances))


def water_at_rate(variances, rate):
    """The cheapest code that spends so many nats.

    With the k largest variances coded, log θ = mean log λ − 2 rate/k; the k is right that leaves θ between its
    smallest λ and the next.

    Args:
        variances: λ of each direction, shape (directions,), at least one above 0.
        rate: nats in all, at least 0.
    Returns:
        WaterFilling.
    Raises:
        ValueError: a negative variance, none above 0, or a rate that is negative or not finite.
    Source: Cover and Thomas (2006), theorem 10.3.3, solved for the level.
    """
    variances = _checked_variances(variances)
    rate = checks.real_array("rate", rate)
    if rate.ndim or rate < 0:
        raise ValueError(f"rate must be one number of nats, at least 0; received {rate}.")
    falling = np.sort(variances[variances > 0])[::-1]
    if not len(falling):
        raise ValueError("variances must hold one above 0: a constant source needs no code; received zeros alone.")
    counts = np.arange(1, len(falling) + 1)
    log_levels = np.cumsum(np.log(falling)) / counts - 2 * float(rate) / counts
    right = np.flatnonzero(log_levels <= np.log(falling))[-1]  # λ falls below θ from some k on
    return reverse_water_filling(variances, float(np.exp(log_levels[right])))


class LinearBetaVAE:
    """The optimum of a linear VAE with weight β on its KL, in closed form from the data's covariance.

    x is centred; z ~ N(0, I), x|z ~ N(W z, s² I), q(z|x) = N(V x, diag v). With θ = β s² and the principal directions
    u of variance λ: the columns of W are √(λ − θ) u, the rows of V √(λ − θ)/λ uᵀ, v is θ/λ; a direction with λ ≤ θ
    stays dark (W and V zero, v = 1).

    Args:
        covariance: of the data, shape (data_dim, data_dim), symmetric, no negative eigenvalue.
        latent_dim: number of latent dimensions, from 1 to data_dim.
        noise_var: s², the decoder's variance, above 0.
        beta: β, above 0 and finite.
    Attributes:
        decoder (data_dim, latent_dim), encoder (latent_dim, data_dim), q_var (latent_dim,); water, the WaterFilling
        of all data_dim directions, of which `latent_dim` may be coded.
    Raises:
        ValueError: an argument is not as said.
    Source: β = 1 is probabilistic PCA: Tipping and Bishop (1999); Lucas et al. (2019). Another β multiplies the noise
        that the encoder sees.
    """

    def __init__(self, covariance, latent_dim, noise_var, beta=1.0):
        self.covariance = checks.real_array("covariance", covariance)
        if self.covariance.ndim != 2 or not np.allclose(self.covariance, self.covariance.T, atol=1e-10):
            raise ValueError(f"covariance must be a symmetric matrix; received shape {self.covariance.shape}.")
        self.noise_var = checks.positive_float("noise_var", noise_var)
        self.beta = checks.positive_float("beta", beta)
        latent_dim = checks.positive_int("latent_dim", latent_dim)
        if latent_dim > len(self.covariance):
            raise ValueError(f"latent_dim must be at most data_dim, {len(self.covariance)}; received {latent_dim}.")
        eigenvalues, vectors = np.linalg.eigh(self.covariance)
        if eigenvalues[0] < -1e-9 * max(eigenvalues[-1], 1.0):
            raise ValueError(f"covariance must have no negative eigenvalue; received {eigenvalues[0]:g}.")
        variances, vectors = np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1]
        self.water = reverse_water_filling(variances, self.beta * self.noise_var, latent_dim)
        top = np.maximum(variances[:latent_dim], self.water.level)  # of a dark direction nothing is left
        weight = np.sqrt(top - self.water.level)
        self.decoder = vectors[:, :latent_dim] * weight
        self.encoder = (vectors[:, :latent_dim] * weight / top).T
        self.q_var = self.water.level / top

    def loss(self, decoder=None, encoder=None, q_var=None):
        """E[−log p(x|z)] + β E[KL(q(z|x) ‖ p(z))], exactly, of the optimum or of any other linear model; nats.

        Args:
            decoder, encoder, q_var: shapes as the attributes; None for the optimum's.
        """
        decoder = self.decoder if decoder is None else np.asarray(decoder, float)
        encoder = self.encoder if encoder is None else np.asarray(encoder, float)
        q_var = self.q_var if q_var is None else np.asarray(q_var, float)
        rest = np.eye(len(self.covariance)) - decoder @ encoder
        error = np.trace(rest @ self.covariance @ rest.T) + np.sum(decoder**2 * q_var)
        distortion = 0.5 * (len(rest) * (gaussian.LOG_2PI + math.log(self.noise_var)) + error / self.noise_var)
        mean_square = np.diag(encoder @ self.covariance @ encoder.T)
        rate = 0.5 * np.sum(mean_square + q_var - 1.0 - np.log(q_var))
        return float(distortion + self.beta * rate)


def learned_noise_var(variances, latent_dim, beta=1.0):
    """The decoder noise s² that a linear β-VAE learns when all of its latent dimensions are in use.

    s² = Σ of the variances left out / (data_dim − β latent_dim): for β = 1 their mean, as in probabilistic PCA.

    Args:
        variances: λ, shape (data_dim,). latent_dim: dimensions in use, the largest variances. beta: β.
    Raises:
        ValueError: β latent_dim is not below data_dim, or the noise would drown a dimension that is in use.
    Source: setting the derivative of `LinearBetaVAE.loss` in s² to zero; Tipping and Bishop (1999), eq. 8 for β = 1.
    """
    falling = np.sort(_checked_variances(variances))[::-1]
    latent_dim, beta = checks.positive_int("latent_dim", latent_dim), checks.positive_float("beta", beta)
    free = len(falling) - beta * latent_dim
    if free <= 0:
        raise ValueError(
            f"beta * latent_dim must be below data_dim, {len(falling)}; received {beta:g} * {latent_dim}: "
            "the loss then falls without end as the noise grows, and nothing is coded."
        )
    noise_var = float(falling[latent_dim:].sum() / free)
    if beta * noise_var >= falling[latent_dim - 1]:
        raise ValueError(
            f"the water would stand at {beta * noise_var:g}, above the variance {falling[latent_dim - 1]:g} of "
            f"dimension {latent_dim}: fewer dimensions are in use. Pass a smaller latent_dim or beta."
        )
    return noise_var


class FiniteCodes:
    """A VAE over finitely many images and codes: its rate, distortion and mutual information as sums.

    Args:
        data: p(x), shape (images,).
        encoder: q(z|x), shape (images, codes), rows sum to 1.
        decoder: p(x|z), shape (codes, images), rows sum to 1.
        prior: p(z), shape (codes,).
    Raises:
        ValueError: shapes do not fit, or something does not sum to 1.
    Source: Alemi et al. (2018), section 3 and appendix.
    """

    def __init__(self, data, encoder, decoder, prior):
        self.data, self.encoder = _probabilities("data", data, 1), _probabilities("encoder", encoder, 2)
        self.decoder, self.prior = _probabilities("decoder", decoder, 2), _probabilities("prior", prior, 1)
        images, codes = self.encoder.shape
        if self.data.shape != (images,) or self.decoder.shape != (codes, images) or self.prior.shape != (codes,):
            raise ValueError(
                f"encoder {self.encoder.shape} asks for data ({images},), decoder ({codes}, {images}) and prior "
                f"({codes},); received {self.data.shape}, {self.decoder.shape} and {self.prior.shape}."
            )

    @property
    def joint(self):
        """p(x) q(z|x), shape (images, codes)."""
        return self.data[:, None] * self.encoder

    @property
    def entropy(self):
        """H, of the data."""
        return -_sum(self.data, self.data)

    @property
    def distortion(self):
        """D = E[−log p(x|z)]."""
        return -_sum(self.joint, self.decoder.T)

    @property
    def rate(self):
        """R = E[KL(q(z|x) ‖ p(z))]."""
        return _sum(self.joint, self.encoder) - _sum(self.joint.sum(axis=0), self.prior)

    @property
    def information(self):
        """I(x; z) under the encoder. H − D ≤ I ≤ R: Alemi et al. (2018), eq. 5."""
        aggregate = self.joint.sum(axis=0)
        return _sum(self.joint, self.encoder) - _sum(aggregate, aggregate)

    def with_best_decoder(self):
        """The same encoder with p(x|z) by Bayes' rule: then H − D = I."""
        aggregate = self.joint.sum(axis=0)
        used = aggregate > 0
        decoder = np.where(used, self.joint / np.where(used, aggregate, 1.0), self.data[:, None]).T
        return FiniteCodes(self.data, self.encoder, decoder, self.prior)

    def with_best_prior(self):
        """The same encoder with the aggregate q(z) for a prior: then R = I."""
        return FiniteCodes(self.data, self.encoder, self.decoder, self.joint.sum(axis=0))


def _checked_variances(variances):
    variances = checks.real_array("variances", variances)
    if variances.ndim != 1 or not len(variances) or np.any(variances < 0):
        smallest = f", the smallest {variances.min():g}" if variances.size else ""
        raise ValueError(
            f"variances must be a row of numbers of at least 0; received shape {variances.shape}{smallest}. "
            "Eigenvalues that rounding has made negative may be set to 0."
        )
    return variances


def _probabilities(name, value, ndim):
    value = checks.real_array(name, value)
    if value.ndim != ndim or np.any(value < 0) or np.any(np.abs(value.sum(axis=-1) - 1) > 1e-9):
        raise ValueError(f"{name} must hold probabilities that sum to 1 along its last of {ndim} axes.")
    return value


def _sum(weights, probabilities):
    """Σ weights log probabilities, where 0 log 0 = 0; minus infinity where something possible is called impossible."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sum(np.where(weights > 0, weights * np.log(probabilities), 0.0)))
