"""Directions in a latent space: the axes of a pad, and a direction that a reader names by pointing at examples."""

import numpy as np

from vaelib.checks import real_array


def unit_axes(axes, latent_dim):
    """Return directions as unit vectors, shape (k, latent_dim); the coordinate axes for None.

    Args:
        axes: array of shape (k, latent_dim), one direction per row, of any length.
        latent_dim: number of latent dimensions.

    Raises:
        ValueError: another shape, a row of zeros, or NaN or infinity.
    """
    if axes is None:
        return np.eye(latent_dim)
    axes = real_array("axes", axes)
    if axes.ndim != 2 or axes.shape[1] != latent_dim or not 1 <= len(axes):
        raise ValueError(f"axes must have shape (k, {latent_dim}), one direction per row; received {axes.shape}.")
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("axes must hold no row of zeros: a slider along it would move nothing.")
    return axes / lengths


def direction_between(low, high):
    """Return the unit vector from the mean of some codes to the mean of others, shape (latent_dim,).

    The difference of means, and not Fisher's discriminant: a discriminant says how to tell two sides apart, and is
    bent away from whatever varies within them; the difference says how to walk from one to the other, and needs no
    covariance, which a few frames could not give. naming.js does the same.
    Source: Larsen et al. 2016, section 4.2 ("visual attribute vectors").

    Args:
        low, high: codes of the two sides, each of shape (n, latent_dim).

    Raises:
        ValueError: a side is empty, or both have the same mean.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if not len(low) or not len(high):
        raise ValueError("both sides need at least one code; one is empty.")
    difference = high.mean(axis=0) - low.mean(axis=0)
    length = np.linalg.norm(difference)
    if length < 1e-9:
        raise ValueError("both sides have the same mean code, so no direction leads from one to the other.")
    return difference / length
