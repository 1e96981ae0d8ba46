"""A plain autoencoder and a VAE in NumPy, their gradients written by hand: small enough to train in seconds.

Encoder and decoder have one hidden layer of tanh units each; pixels are Bernoulli. The two models differ in two
things: the VAE's code is a draw from q(z|x) = N(mu, diag σ²), and its loss adds KL(q(z|x) ‖ p(z)).
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import gauss_hermite
from vaelib.theory.toy_models import LatentVariableModel


def log_prob_bernoulli(x, logits):
    """log p(x|z) = Σ_i x_i ℓ_i − log(1 + exp ℓ_i), summed over the last axis, the pixels.

    Args:
        x: pixels in [0, 1], shape (..., data_dim). logits: ℓ, the decoder's output, a shape that broadcasts with x.
    Returns:
        Nats, shape (...).
    Source: Kingma & Welling (2014), appendix C.1.
    """
    x, logits = checks.real_array("x", x), checks.real_array("logits", logits)
    checks.common_shape(x=x, logits=logits)
    return np.sum(x * logits - np.logaddexp(0.0, logits), axis=-1)


class Autoencoder(LatentVariableModel):
    """x → tanh → z → tanh → logits, trained on the reconstruction −log p(x|z) alone.

    Args:
        data_dim, hidden_units, latent_dim: sizes of the layers.
        rng: NumPy generator that draws the first weights.
    Source: Rumelhart, Hinton & Williams (1986); Bishop (2006), section 12.4.2.
    """

    num_heads = 1  # the encoder gives z

    def __init__(self, data_dim, hidden_units, latent_dim, rng):
        super().__init__(data_dim, latent_dim)
        sizes = [(data_dim, hidden_units), (hidden_units, self.num_heads * latent_dim)]
        sizes += [(latent_dim, hidden_units), (hidden_units, data_dim)]
        self.weights = []
        for num_in, num_out in sizes:
            self.weights += [rng.standard_normal((num_in, num_out)) / np.sqrt(num_in), np.zeros(num_out)]

    def _encoder(self, x):
        """(hidden layer, output of the encoder)."""
        w1, b1, w2, b2 = self.weights[:4]
        hidden = np.tanh(self.check_x(x) @ w1 + b1)
        return hidden, hidden @ w2 + b2

    def _decoder(self, z):
        """(hidden layer, logits)."""
        w3, b3, w4, b4 = self.weights[4:]
        hidden = np.tanh(z @ w3 + b3)
        return hidden, hidden @ w4 + b4

    def check_x(self, x):
        x = super().check_x(x)
        if x.size and (x.min() < 0 or x.max() > 1):
            raise ValueError(f"x must lie in [0, 1]; received values from {x.min():g} to {x.max():g}. Rescale it.")
        return x

    def encode(self, x):
        """Return the codes of images, shape (..., data_dim) to (..., latent_dim); a VAE's are the means of q(z|x)."""
        return self._encoder(x)[1][..., : self.latent_dim]

    def logits(self, z):
        """Return ℓ, one real number per pixel, shape (..., latent_dim) to (..., data_dim)."""
        return self._decoder(self.check("z", z, self.latent_dim))[1]

    def decode(self, z):
        """Return the mean image, pixels in [0, 1], shape (..., latent_dim) to (..., data_dim)."""
        return expit(self.logits(z))

    def log_likelihood(self, x, z):
        """log p(x|z) in nats, shape (...). Source: `log_prob_bernoulli`."""
        return log_prob_bernoulli(self.check_x(x), self.logits(z))

    def draw_noise(self, n, rng):
        """Return the noise of one training step: none here."""
        return None

    def loss_and_gradients(self, x, eps=None):
        """The loss of each image and the gradient of its mean, back-propagated by hand.

        Args:
            x: images, shape (n, data_dim). eps: noise of the code, shape (n, latent_dim); None for a plain autoencoder.
        Returns:
            (loss in nats, shape (n,); gradients, one array per array of `weights`).
        """
        hidden, out = self._encoder(x)
        loss, d_out, decoder_gradients = self._through_code(x, out, eps)
        d_hidden = d_out @ self.weights[2].T * (1 - hidden**2)
        encoder_gradients = [x.T @ d_hidden, d_hidden.sum(0), hidden.T @ d_out, d_out.sum(0)]
        return loss, encoder_gradients + decoder_gradients

    def _through_code(self, x, out, eps):
        loss, d_z, gradients = self._reconstruction(x, out)
        return loss, d_z, gradients

    def _reconstruction(self, x, z):
        """−log p(x|z) per image, the gradient of its mean in z, and in the decoder's weights."""
        hidden, logits = self._decoder(z)
        d_logits = (expit(logits) - x) / len(x)
        d_hidden = d_logits @ self.weights[6].T * (1 - hidden**2)
        gradients = [z.T @ d_hidden, d_hidden.sum(0), hidden.T @ d_logits, d_logits.sum(0)]
        return -log_prob_bernoulli(x, logits), d_hidden @ self.weights[4].T, gradients

    def fit(self, x, epochs, batch_size, learning_rate, rng, encoder_only=False):
        """Minimise the mean loss with Adam, the step falling to zero along half a cosine.

        Args:
            x: images, shape (n, data_dim). epochs, batch_size: whole numbers. learning_rate: the first step size.
            rng: NumPy generator for the order of the images and the noise.
            encoder_only: True leaves the decoder as it is.
        Returns:
            Mean loss of each epoch in nats, shape (epochs,).
        Source: Kingma & Ba (2015), algorithm 1.
        """
        x = self.check_x(x)
        mean = [np.zeros_like(w) for w in self.weights]
        square = [np.zeros_like(w) for w in self.weights]
        trained = self.weights[:4] if encoder_only else self.weights
        num_steps, step, losses = epochs * -(-len(x) // batch_size), 0, np.zeros(epochs)
        for epoch in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), batch_size):
                batch = x[order[start : start + batch_size]]
                loss, gradients = self.loss_and_gradients(batch, self.draw_noise(len(batch), rng))
                losses[epoch] += loss.sum() / len(x)
                rate = learning_rate * 0.5 * (1 + np.cos(np.pi * step / num_steps))
                step += 1
                for w, m, s, g in zip(trained, mean, square, gradients, strict=False):
                    m += 0.1 * (g - m)
                    s += 0.001 * (g**2 - s)
                    w -= rate * m / (1 - 0.9**step) / (np.sqrt(s / (1 - 0.999**step)) + 1e-8)
        return losses


class VariationalAutoencoder(Autoencoder):
    """The same network with two heads, μ and log σ²: z = μ + σ ⊙ ε, and the loss adds KL(q(z|x) ‖ N(0, I)).

    Expectations under q are Gauss–Hermite sums and log p(x) is a grid sum: exact for a latent space of two dimensions.

    Source: Kingma & Welling (2014), algorithm 1 and eq. 10.
    """

    num_heads = 2

    def infer(self, x):
        """Return (mu, log_var) of q(z|x), each of shape (..., latent_dim)."""
        out = self._encoder(x)[1]
        return out[..., : self.latent_dim], out[..., self.latent_dim :]

    def draw_noise(self, n, rng):
        """Return the noise ε ~ N(0, I) of one training step, shape (n, latent_dim)."""
        return rng.standard_normal((n, self.latent_dim))

    def _through_code(self, x, out, eps):
        mu, log_var = out[:, : self.latent_dim], out[:, self.latent_dim :]
        z = gaussian.sample_diagonal(mu, log_var, eps)
        loss, d_z, gradients = self._reconstruction(x, z)
        kl_mu, kl_log_var = gaussian.kl_standard_normal_gradient(mu, log_var)
        d_mu = d_z + kl_mu / len(x)
        d_log_var = 0.5 * np.exp(0.5 * log_var) * eps * d_z + kl_log_var / len(x)
        return loss + gaussian.kl_standard_normal(mu, log_var), np.hstack([d_mu, d_log_var]), gradients

    def expected_log_likelihood(self, x, mu, log_var, points_per_dim=8):
        """E_q[log p(x|z)] by Gauss–Hermite quadrature, shape (...)."""
        eps, weights = gauss_hermite(self.latent_dim, points_per_dim)
        z = gaussian.sample_diagonal(np.asarray(mu)[..., None, :], np.asarray(log_var)[..., None, :], eps)
        return self.log_likelihood(np.asarray(x)[..., None, :], z) @ weights

    def log_evidence(self, x, points_per_dim=151, half_width=6.0):
        """log p(x) = log ∫ p(z) p(x|z) dz as a grid sum, for a latent space of one or two dimensions, shape (n,).

        Args:
            x: images, shape (n, data_dim). points_per_dim, half_width: the grid, as in `evidence_by_grid`.
        """
        if self.latent_dim > 2:
            raise ValueError(f"latent_dim must be 1 or 2 to sum over a grid; it is {self.latent_dim}.")
        axis, step = np.linspace(-half_width, half_width, points_per_dim, retstep=True)
        z = np.array(list(itertools.product(axis, repeat=self.latent_dim)))
        logits, log_prior = self.logits(z), self.log_prior(z)
        # One matrix product for all images: log p(x|z) is linear in x.
        constant = log_prior - np.logaddexp(0.0, logits).sum(axis=-1)
        blocks = [logsumexp(part @ logits.T + constant, axis=-1) for part in _blocks(self.check_x(x))]
        return np.concatenate(blocks) + self.latent_dim * np.log(step)

    def fit_q(self, x, mu, log_var, points_per_dim=4, num_steps=None):
        """Fit mu and log_var of one image to the least loss, the decoder held fixed, by BFGS.

        Args:
            x: one image, shape (data_dim,). mu, log_var: where to start, shape (latent_dim,).
            points_per_dim: quadrature points along each latent dimension.
            num_steps: the most steps of the search; None goes on until the gradient is below 1e-4.
        Returns:
            QFit(mu, log_var, num_decoded): num_decoded counts the codes sent through the decoder.
        """
        x, d = self.check_x(x), self.latent_dim
        eps, weights = gauss_hermite(d, points_per_dim)
        many, num_decoded = np.broadcast_to(x, (len(eps), len(x))), 0

        def loss(q):
            nonlocal num_decoded
            num_decoded += len(eps)
            std = np.exp(0.5 * q[d:])
            reconstruction, d_z, _ = self._reconstruction(many, q[:d] + std * eps)
            d_z *= len(eps) * weights[:, None]  # _reconstruction averages evenly
            kl_mu, kl_log_var = gaussian.kl_standard_normal_gradient(q[:d], q[d:])
            gradient = [d_z.sum(0) + kl_mu, 0.5 * std * (d_z * eps).sum(0) + kl_log_var]
            return weights @ reconstruction + gaussian.kl_standard_normal(q[:d], q[d:]), np.concatenate(gradient)

        options = {"gtol": 1e-4, "maxiter": num_steps}
        best = minimize(loss, np.concatenate([mu, log_var]), jac=True, method="BFGS", options=options).x
        return QFit(best[:d], best[d:], num_decoded)


class QFit(NamedTuple):
    """The best mu and log_var for one image, each (latent_dim,), and how many codes were decoded to find them."""

    mu: np.ndarray
    log_var: np.ndarray
    num_decoded: int


def _blocks(x, size=64):
    return [x[start : start + size] for start in range(0, len(x), size)]
