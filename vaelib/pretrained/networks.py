"""Encoders and decoders that need no Keras: the forward pass as a few NumPy operations.

They follow a slider without delay, and run the networks that ship before anything is trained.
"""

import numpy as np
from scipy.special import erf, expit

from vaelib.pretrained.convolutions import Convolution

# What the course's networks and most readers' networks use; the defaults are those of Keras.
ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": expit,
    "softplus": lambda x: np.logaddexp(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2).astype(x.dtype))),
    "silu": lambda x: x * expit(x),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
}


SUPPORTED_LAYERS = (
    "Dense, Conv2D, Conv2DTranspose, UpSampling2D, Cropping2D, ZeroPadding2D, Permute, Reshape, Flatten and Activation"
)
PASS_A_FUNCTION = " Pass a function from codes to images instead."


class UnsupportedDecoderError(ValueError):
    """The network has a part that the NumPy forward pass does not know; the Keras model itself may still be sound.

    Args:
        reason: which part, as a sentence.
        advice: what to do about it, with a space in front.

    Attributes:
        reason: the sentence alone, for those who have another advice.
    """

    def __init__(self, reason, advice=""):
        super().__init__(reason + advice)
        self.reason = reason


class NumpyEncoder:
    """The forward pass of an encoder with a diagonal normal posterior.

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
            encoder: a built Keras model from (batch, *data_shape) to (batch, 2 * latent_dim), a plain stack of the
                layers in SUPPORTED_LAYERS.

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
        data_shape = encoder.inputs[0].shape[1:]
        x = np.random.default_rng(0).random((4, *data_shape), "float32")
        return cls(stack_of(encoder, x, "encoder"), data_shape, params_size // 2)

    def params(self, x):
        """Return mu and log_var side by side, shape (n, 2 * latent_dim), for images x of shape (n, *data_shape)."""
        return _forward(self.steps, x, "x", self.data_shape)

    def __call__(self, x):
        """Return mu and log_var of q(z|x), each of shape (n, latent_dim), for images x of shape (n, *data_shape)."""
        params = self.params(x)
        return params[:, : self.latent_dim], params[:, self.latent_dim :]


def bernoulli_mean(params):
    """Return the pixel means of a Bernoulli likelihood: the sigmoid of all its parameters."""
    return expit(params)


def normal_mean(params):
    """Return the pixel means of a Normal likelihood: the sigmoid of the first half of its parameters."""
    return expit(params[:, : params.shape[1] // 2])


def identity_mean(params):
    """Return the means of an IsotropicNormal likelihood: its parameters themselves, of any range."""
    return params


def continuous_bernoulli_mean(params):
    """Return the pixel means of a ContinuousBernoulli likelihood with these logits: 1 / (1 - exp(-l)) - 1 / l.

    Source: Loaiza-Ganem and Cunningham 2019, equation 8, written with the logit l of lambda.
    """
    logits = np.asarray(params, "float64")
    # Near zero two large numbers cancel; there a Taylor series is exact to float32.
    near, far = np.clip(logits, -0.1, 0.1), np.where(np.abs(logits) < 0.1, 0.1, logits)
    with np.errstate(over="ignore"):
        elsewhere = -1 / np.expm1(-far) - 1 / far
    return np.where(np.abs(logits) < 0.1, 0.5 + near / 12 - near**3 / 720, elsewhere).astype("float32")


# By the names under which they travel to the browser.
MEANS = {
    "bernoulli": bernoulli_mean,
    "normal": normal_mean,
    "identity": identity_mean,
    "continuous_bernoulli": continuous_bernoulli_mean,
}


class NumpyDecoder:
    """The forward pass of a decoder: codes in, images out.

    Args:
        steps: functions from array to array, applied in order; together from (n, latent_dim) to (n, params_size).
        mean: function from the likelihood's parameters (n, params_size) to pixel means (n, number of pixels).
        data_shape: shape of one image.
        latent_dim: number of latent dimensions.
        log_var: what the likelihood says of its variance: the pair between which it clips the second half of its
            parameters, one log-variance for every pixel; None where it has no variance of its own.
    """

    def __init__(self, steps, mean, data_shape, latent_dim, log_var=None):
        self.steps = list(steps)
        self.mean = mean
        self.data_shape = tuple(data_shape)
        self.latent_dim = latent_dim
        self.log_var = log_var

    @classmethod
    def from_keras(cls, decoder, data_shape, mean=bernoulli_mean, log_var=None):
        """Copy the weights of a Keras decoder.

        Args:
            decoder: a built Keras model from (batch, latent_dim) to (batch, params_size), a plain stack of the layers
                in SUPPORTED_LAYERS.
            data_shape: shape of one image.
            mean: function from the likelihood's parameters to pixel means, one of MEANS.
            log_var: as in NumpyDecoder.

        Returns:
            A NumpyDecoder.

        Raises:
            UnsupportedDecoderError: a ValueError: a layer or an activation is not supported (it is named), or the
                layers do not form a plain stack.
            ValueError: a weight is not finite, or data_shape does not fit the decoder.
        """
        if len(decoder.inputs) != 1 or len(decoder.inputs[0].shape) != 2:
            raise UnsupportedDecoderError(
                f"decoder must have one input of shape (batch, latent_dim); received {decoder.inputs}."
            )
        latent_dim = int(decoder.inputs[0].shape[-1])
        z = np.random.default_rng(0).standard_normal((4, latent_dim)).astype("float32")
        numpy_decoder = cls(stack_of(decoder, z, "decoder"), mean, data_shape, latent_dim, log_var)
        params, num_pixels = numpy_decoder.params(z), int(np.prod(numpy_decoder.data_shape))
        if mean(params).shape != (4, num_pixels):
            raise ValueError(
                f"data_shape {numpy_decoder.data_shape} asks for {num_pixels} pixel means; the decoder's "
                f"{params.shape[1]} parameters give {mean(params).shape[1]}. Check data_shape and mean."
            )
        return numpy_decoder

    @classmethod
    def from_vae(cls, vae):
        """Copy the decoder of a VAE together with the mean of its likelihood.

        Args:
            vae: an object with `decoder` (a Keras model) and `likelihood` (with `event_shape`, `params_size` and
                `mean`).

        Returns:
            A NumpyDecoder.

        Raises:
            ValueError: as `from_keras`; UnsupportedDecoderError also when the likelihood's mean is not known here.
        """
        likelihood = vae.likelihood
        return cls.from_keras(vae.decoder, likelihood.event_shape, mean_of(likelihood), log_var_of(likelihood))

    def params(self, z):
        """Return the likelihood's parameters, shape (n, params_size), for codes z of shape (n, latent_dim)."""
        return _forward(self.steps, z, "z", (self.latent_dim,))

    def __call__(self, z):
        """Return the pixel means, shape (n, *data_shape), in [0, 1], for codes z of shape (n, latent_dim)."""
        return self.mean(self.params(z)).reshape(-1, *self.data_shape)

    def std(self, z):
        """Return the standard deviation of p(x|z) at each pixel, shape (n, *data_shape), for codes z.

        Raises:
            ValueError: the likelihood has no variance of its own.
        """
        if self.log_var is None:
            raise ValueError(
                "the decoder's likelihood has no variance of its own, as a Normal or an IsotropicNormal has."
            )
        params = self.params(z)
        if np.ndim(self.log_var) == 0:
            log_var = np.full((len(params), int(np.prod(self.data_shape))), self.log_var, "float32")
        else:
            log_var = params[:, params.shape[1] // 2 :].clip(*self.log_var)
        return np.exp(log_var / 2).reshape(-1, *self.data_shape)


def mean_of(likelihood):
    """Return the function of this file that equals a likelihood's mean; random parameters tell, not its name.

    Args:
        likelihood: has `params_size` and `mean`.

    Returns:
        One of MEANS.

    Raises:
        UnsupportedDecoderError: its mean is another function of the parameters.
    """
    params = 3 * np.random.default_rng(1).standard_normal((8, likelihood.params_size)).astype("float32")
    expected = to_numpy(likelihood.mean(params)).reshape(8, -1)
    for mean in MEANS.values():
        if mean(params).shape == expected.shape and np.abs(mean(params) - expected).max() < 1e-5:
            return mean
    raise UnsupportedDecoderError(
        "likelihood must have the mean of a Bernoulli, a ContinuousBernoulli, a Normal or an IsotropicNormal for a "
        f"NumPy forward pass; a {type(likelihood).__name__} has another mean.",
        PASS_A_FUNCTION,
    )


def log_var_of(likelihood):
    """Return what a NumpyDecoder keeps of a likelihood's variance; random parameters tell, as in `mean_of`.

    Returns:
        The pair between which it clips the second half of its parameters, one log-variance for all pixels, or None.
    """
    if not hasattr(likelihood, "split"):
        return None
    params = 4 * np.random.default_rng(2).standard_normal((8, likelihood.params_size)).astype("float32")
    log_var = to_numpy(likelihood.split(params)[1])
    if log_var.ndim == 0:
        return float(log_var)
    bounds = getattr(likelihood, "log_var_range", (-np.inf, np.inf))
    same = np.allclose(log_var.reshape(8, -1), params[:, params.shape[1] // 2 :].clip(*bounds), atol=1e-5)
    return tuple(map(float, bounds)) if same and np.isfinite(bounds).all() else None


def stack_of(model, inputs, what):
    """Return the layers of a Keras model as NumPy functions, in the order of the data.

    Args:
        model: a plain stack of the layers in SUPPORTED_LAYERS.
        inputs: a few inputs: layers alone do not tell how they are wired, but a skip connection shows in the numbers.
        what: "encoder" or "decoder", for an error.

    Returns:
        List of functions from array to array.

    Raises:
        UnsupportedDecoderError: a layer or an activation is not supported, or the layers form no plain stack.
        ValueError: a weight is not finite.
    """
    steps = [step for layer in flat_layers(model) for step in layer_steps(layer)]
    complaint = f"{what} {model.name!r} is no plain stack of layers"
    expected = to_numpy(model(inputs))
    try:
        actual = _forward(steps, inputs, "inputs", inputs.shape[1:])
    except ValueError as error:  # two branches, one after the other, have no shapes that fit
        raise UnsupportedDecoderError(f"{complaint}: {error}.") from error
    if expected.shape != actual.shape or np.abs(expected - actual).max() > 1e-3 * (1 + np.abs(expected).max()):
        raise UnsupportedDecoderError(f"{complaint}: the NumPy forward pass differs from the model.", PASS_A_FUNCTION)
    return steps


def flat_layers(model):
    """Return the layers of a model in their order, those of a Sequential or a model inside it in its place."""
    return [inner for layer in model.layers for inner in (flat_layers(layer) if hasattr(layer, "layers") else [layer])]


def layer_steps(layer):
    """Return one Keras layer as a list of NumPy functions; errors as `stack_of`."""
    from keras import layers  # here only: who has such a layer has loaded Keras, and nobody else needs it

    if isinstance(layer, layers.InputLayer):
        return []
    if isinstance(layer, layers.Flatten):
        return [lambda h: h.reshape(len(h), -1)]
    if isinstance(layer, layers.Reshape):
        shape = tuple(layer.target_shape)
        return [lambda h: h.reshape(len(h), *shape)]
    if isinstance(layer, layers.Permute):
        order = (0, *layer.dims)
        return [lambda h: h.transpose(order)]
    if isinstance(layer, layers.Activation):
        return [_activation(layer)]
    if isinstance(layer, layers.Dense):
        # By its own attributes and not by get_weights(): a layer may have no bias.
        kernel = _finite_weights(layer, "kernel", layer.kernel)
        bias = _finite_weights(layer, "bias", layer.bias) if layer.use_bias else np.zeros(1, "float32")
        return [affine(kernel, bias), _activation(layer)]
    if type(layer) in (layers.Conv2D, layers.Conv2DTranspose):
        return [_convolution(layer, type(layer) is layers.Conv2DTranspose), _activation(layer)]
    if isinstance(layer, layers.UpSampling2D | layers.Cropping2D | layers.ZeroPadding2D):
        return [_moved_pixels(layer)]
    raise _unsupported(layer, f"is not supported by the NumPy forward pass; supported are {SUPPORTED_LAYERS}")


def _unsupported(layer, why):
    reason = f"layer {layer.name!r} of type {type(layer).__name__} {why}."
    return UnsupportedDecoderError(reason, PASS_A_FUNCTION)


def _convolution(layer, transpose):
    """Return a Keras convolution as a Convolution."""
    odd = {name: getattr(layer, name, None) for name in ("data_format", "dilation_rate", "groups", "output_padding")}
    usual = {
        "data_format": ("channels_last",),
        "dilation_rate": ((1, 1),),
        "groups": (1, None),
        "output_padding": (None,),
    }
    for name, value in odd.items():
        if value not in usual[name]:
            raise _unsupported(layer, f"has {name}={value!r}, which the NumPy forward pass does not know")
    if layer.padding not in ("same", "valid"):
        raise _unsupported(layer, f"has padding={layer.padding!r}; the NumPy forward pass knows 'same' and 'valid'")
    kernel = _finite_weights(layer, "kernel", layer.kernel)
    if transpose:  # Keras keeps the channels out before the channels in
        kernel = np.ascontiguousarray(kernel.swapaxes(2, 3))
    bias = _finite_weights(layer, "bias", layer.bias) if layer.use_bias else np.zeros(kernel.shape[3], "float32")
    return Convolution(kernel, bias, layer.strides, layer.padding, transpose)


def _moved_pixels(layer):
    """Return a layer that only repeats, cuts off or adds pixels as a function."""
    from keras import layers

    if layer.data_format != "channels_last":
        raise _unsupported(layer, "has its channels first; the NumPy forward pass knows channels last")
    if isinstance(layer, layers.UpSampling2D):
        if layer.interpolation != "nearest":
            raise _unsupported(layer, f"has interpolation={layer.interpolation!r}; 'nearest' is supported")
        down, across = layer.size
        return lambda h: h.repeat(down, axis=1).repeat(across, axis=2)
    if isinstance(layer, layers.Cropping2D):
        (top, bottom), (left, right) = layer.cropping
        return lambda h: h[:, top : h.shape[1] - bottom, left : h.shape[2] - right]
    padding = ((0, 0), *layer.padding, (0, 0))
    return lambda h: np.pad(h, padding)


def affine(kernel, bias):
    """Return the function h @ kernel + bias."""
    return lambda h: h @ kernel + bias


def dense_steps(arrays, activation):
    """Return the steps of a stack of dense layers over flattened inputs, the last one linear.

    Args:
        arrays: a pair (kernel, bias) for each layer.
        activation: name in ACTIVATIONS of what follows each layer but the last.
    """
    steps = [lambda h: h.reshape(len(h), -1)]
    for kernel, bias in arrays:
        steps += [affine(kernel, bias), ACTIVATIONS[activation]]
    return steps[:-1]


def to_numpy(tensor):
    """Return the array behind a tensor or a variable of any Keras backend."""
    from keras import ops  # here only, as in `layer_steps`

    return ops.convert_to_numpy(ops.convert_to_tensor(tensor))


def _forward(steps, h, name, shape):
    h = np.asarray(h, "float32")
    if h.shape[1:] != shape or h.ndim == 0:
        raise ValueError(f"{name} must have shape ({', '.join(['n', *map(str, shape)])}); received {h.shape}.")
    for step in steps:
        h = step(h)
    return h


def _finite_weights(layer, name, weights):
    weights = np.ascontiguousarray(to_numpy(weights), "float32")
    bad = np.count_nonzero(~np.isfinite(weights))
    if bad:
        raise ValueError(
            f"weights must be finite; {bad} of {weights.size} entries of {name} in layer {layer.name!r} are NaN or "
            "infinite. The training diverged: lower the learning rate and train again."
        )
    return weights


def _activation(layer):
    from keras import activations

    # By identity: a reader's own function may bear the name of a Keras one.
    for name, function in ACTIVATIONS.items():
        if layer.activation is activations.get(name):
            return function
    name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    raise UnsupportedDecoderError(
        f"activation {name!r} of layer {layer.name!r} is not supported by the NumPy forward pass; supported are "
        f"{', '.join(ACTIVATIONS)}.",
        PASS_A_FUNCTION,
    )
