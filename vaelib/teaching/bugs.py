"""The twenty suspects of lesson 10: one hidden bug each, in words, in one line of code, and as a part of a model.

No Keras is loaded here. The parts are named as they stand in `vaelib.teaching.mistakes`, or in `vaelib`.
"""

from typing import NamedTuple

import numpy as np


class Bug(NamedTuple):
    """One bug.

    Attributes:
        name: a few words.
        right, wrong: the line as it should be, and as it is.
        parts: by role (posterior, likelihood, objective, decoder), what takes the place of the right part.
        base: the right model that it is held against, a key of BASES.
    """

    name: str
    right: str
    wrong: str
    parts: dict
    base: str = "digits"


# The right models. Densities of grey pixels are never held against probabilities of black and white ones.
BASES = {
    "digits": {},
    "grey": {"likelihood": "Normal"},
    "grey, no floor": {"likelihood": "ContinuousBernoulli"},
}

_LOG_PROB = "log_prob(x, logits)"
_SAMPLE = "z = mu + exp(0.5 * log_var) * eps"
_EPS = "eps = keras.random.normal(shape, seed=generator)"
_KL = "0.5 * sum(mu**2 + exp(log_var) - 1 - log_var, axis=-1)"
_SCORE = "0.5 * sum(LOG_2PI + log_var + (x - m)**2 * exp(-log_var), axis=-1)"

BUGS = (
    Bug(
        "mean over the pixels",
        "sum(log_prob_of_pixels, axis=-1)",
        "mean(log_prob_of_pixels, axis=-1)",
        {"likelihood": "MeanOverPixels"},
    ),
    Bug(
        "swapped cross-entropy",
        "binary_crossentropy(x, prediction)",
        "binary_crossentropy(prediction, x)",
        {"likelihood": "SwappedCrossEntropy"},
    ),
    Bug("sigmoid twice, in the loss", _LOG_PROB, "log_prob(x, sigmoid(logits))", {"likelihood": "DoubleSigmoid"}),
    Bug("sigmoid twice, in the decoder", "Dense(784)", 'Dense(784, activation="sigmoid")', {"decoder": "with_sigmoid"}),
    Bug("inverted pixels", _LOG_PROB, "log_prob(1 - x, logits)", {"likelihood": "Inverted"}),
    Bug("log σ² taken for σ", _SAMPLE, "z = mu + log_var * eps", {"posterior": "LogVarAsSigma"}),
    Bug("σ² taken for σ", _SAMPLE, "z = mu + exp(log_var) * eps", {"posterior": "VarianceAsSigma"}),
    Bug("one ε for ever", _EPS, "eps = keras.random.normal(shape, seed=0)", {"posterior": "FrozenNoise"}),
    Bug("ε from NumPy", _EPS, "eps = np.random.standard_normal(shape)", {"posterior": "NumpyNoise"}),
    Bug("one ε for the batch", _EPS, "eps = keras.random.normal((1, latent_dim))", {"posterior": "SharedNoise"}),
    Bug("ε for 100 examples", _EPS, "eps = keras.random.normal((100, latent_dim))", {"posterior": "FixedBatchNoise"}),
    Bug("gradient stopped at z", _SAMPLE, "z = stop_gradient(" + _SAMPLE[4:] + ")", {"posterior": "StoppedGradient"}),
    Bug("sign of the KL", "reconstruction + kl", "reconstruction - kl", {"objective": "NegativeKL"}),
    Bug("sign of log σ²", _KL, _KL.replace("- log_var", "+ log_var"), {"posterior": "SignOfLogVar"}),
    Bug("mean over the latent dimensions", _KL, _KL.replace("sum", "mean"), {"objective": "MeanOverLatentDims"}),
    Bug(
        "no noise in evaluation",
        _SAMPLE,
        "z = " + _SAMPLE[4:] + " if training else mu",
        {"objective": "NoiselessEvaluation"},
    ),
    Bug(
        "coin tosses for grey pixels",
        "ContinuousBernoulli((28, 28))",
        "Bernoulli((28, 28))",
        {"likelihood": "Bernoulli"},
        "grey, no floor",
    ),
    Bug("½ log 2π dropped", _SCORE, _SCORE.replace("LOG_2PI + ", ""), {"likelihood": "NoLogTwoPi"}, "grey"),
    Bug("log σ² dropped", _SCORE, "0.5 * sum((x - m)**2 * exp(-log_var), axis=-1)", {"likelihood": "NoLogVar"}, "grey"),
    Bug(
        "exp(log σ²) taken for σ",
        _SCORE,
        "0.5 * sum(LOG_2PI + 2 * log_var + (x - m)**2 * exp(-2 * log_var), axis=-1)",
        {"likelihood": "ExpIsSigma"},
        "grey",
    ),
)
BY_NAME = {bug.name: bug for bug in BUGS}

# Case k hides the bug CASES[k - 1].
CASES = tuple(BUGS[k].name for k in np.random.default_rng(2026).permutation(len(BUGS)))
