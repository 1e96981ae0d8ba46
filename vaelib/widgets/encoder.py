"""From images to q(z|x) without Keras: the NumPy forward pass of an encoder, beside NumpyDecoder in frames.py."""

import numpy as np

from vaelib.widgets.frames import UnsupportedDecoderError, _require_close, _steps, to_numpy


class NumpyEncoder:
    """The forward pass of an encoder with a diagonal normal posterior as a few NumPy operations.

    Args:
        steps: functions from array to array, applied in order; together from (n, *data_shape) to (n, 2 * latent_dim):
            mu and log_var side by side.
        data_shape: shape of one image.
        latent_dim: number of latent dimensions.
    """

    def __init__(self, steps, data_shape, latent_dim):
        self.steps = list(steps)
        self.data_shape = tuple(data_shape)
        self.latent_dim = latent_dim

    @classmethod
    def from_keras(cls, encoder):
        """Copy the weights of a Keras encoder.

        Args:
            encoder: a built Keras model from (batch, *data_shape) to (batch, 2 * latent_dim), a plain stack of Dense,
                Reshape, Flatten and Activation layers.

        Returns:
            A NumpyEncoder.

        Raises:
            UnsupportedDecoderError: a ValueError: a layer or an activation is not supported (it is named), or the
                layers do not form a plain stack.
            ValueError: a weight is not finite, or the number of outputs is odd.
        """
        if len(encoder.inputs) != 1:
            raise UnsupportedDecoderError(f"encoder must have one input; received {encoder.inputs}.")
        params_size = int(encoder.outputs[0].shape[-1])
        if params_size % 2:
            raise ValueError(f"encoder must give mu and log_var side by side; received {params_size} outputs.")
        steps = [step for layer in encoder.layers for step in _steps(layer)]
        numpy_encoder = cls(steps, encoder.inputs[0].shape[1:], params_size // 2)
        x = np.random.default_rng(0).random((4, *numpy_encoder.data_shape), "float32")
        complaint = f"encoder {encoder.name!r} is no plain stack of layers"
        try:
            params = numpy_encoder.params(x)
        except ValueError as error:  # two branches, one after the other, have no shapes that fit
            raise UnsupportedDecoderError(f"{complaint}: {error}.") from error
        _require_close(to_numpy(encoder(x)), params, complaint)
        return numpy_encoder

    def params(self, x):
        """Return mu and log_var side by side, shape (n, 2 * latent_dim), for images x of shape (n, *data_shape)."""
        h = np.asarray(x, "float32")
        if h.shape[1:] != self.data_shape:
            raise ValueError(f"x must have shape (n, {', '.join(map(str, self.data_shape))}); received {h.shape}.")
        for step in self.steps:
            h = step(h)
        return h

    def __call__(self, x):
        """Return mu and log_var of q(z|x), each of shape (n, latent_dim), for images x of shape (n, *data_shape)."""
        params = self.params(x)
        return params[:, : self.latent_dim], params[:, self.latent_dim :]
