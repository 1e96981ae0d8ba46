"""Labels: rows of zeros and a one for networks that read them, and the objective where most of them are missing."""

import copy

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.objectives import ELBO

MISSING = -1  # the label of a row whose class nobody knows


def one_hot(labels, num_classes):
    """Return labels as rows of zeros and a one: what networks read as y.

    Args:
        labels: whole numbers from 0 to num_classes - 1, shape (n,).
        num_classes: how many classes there are.

    Returns:
        NumPy array of shape (n, num_classes), float32.

    Raises:
        ValueError: a label is missing or out of range; NumPy's `eye(n)[-1]` would make a missing one the last class.
    """
    labels = checks.labels("labels", labels, num_classes)
    return np.eye(num_classes, dtype="float32")[labels]


@keras.saving.register_keras_serializable(package="vaelib")
class SemiSupervised(ELBO):
    """The negative ELBO of p(x|z, y) p(z) p(y), summed over the classes where the label is missing: M2.

    With L(x, y) = E_q[log p(x|z, y)] + log p(y) - KL(q(z|x, y) || p(z)) and a uniform p(y), a labelled row costs
    -L(x, y) - weight * log q(y|x), one without a label -sum over y of q(y|x) L(x, y) - H[q(y|x)]. `fit(x, y)` takes
    labels as whole numbers, -1 where they are missing; without y all are. Encoder and decoder read the class as a row
    of zeros and a one, as in a conditional model; `vae.elbo(x, y=one_hot(labels, num_classes))` is L + log num_classes.
    Source: Kingma, Mohamed, Rezende and Welling 2014, equations 6, 7 and 9.

    Args:
        classifier: keras.Model from x (batch, *data_shape) to one logit per class, shape (batch, num_classes): q(y|x).
        num_classes: how many classes there are.
        weight: what a labelled row's -log q(y|x) counts; without it the classifier would learn from unlabelled rows
            alone.
        beta: weight of the KL of z.

    Raises:
        ValueError: the classifier does not give one logit per class, there are fewer than two classes, or weight or
            beta is negative.
    """

    names = ("loss", "reconstruction", "kl", "label_kl", "classification")

    def __init__(self, classifier, num_classes, weight=1.0, beta=1.0, **kwargs):
        super().__init__(beta, **kwargs)
        self.num_classes = checks.positive_int("num_classes", num_classes)
        if self.num_classes < 2:
            raise ValueError("num_classes must be at least 2: one class says nothing; received 1.")
        if len(classifier.inputs) != 1 or tuple(classifier.output_shape[1:]) != (self.num_classes,):
            raise ValueError(
                f"classifier must have one input, x, and num_classes = {self.num_classes} logits per example as "
                f"output; received {len(classifier.inputs)} inputs and output shape {classifier.output_shape}."
            )
        self.classifier = classifier
        self.weight = checks.nonnegative_float("weight", weight)

    def noise(self, vae, num_examples):
        """Draw the noise of one sample of the posterior for each example and class."""
        return vae.posterior.noise((self.num_classes * num_examples,))

    def check_targets(self, y, name="y"):
        """Raise ValueError unless y holds a label per row, whole numbers from 0 to num_classes - 1, or -1."""
        checks.labels(name, y, self.num_classes, missing=MISSING)

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction, kl, label_kl and classification of each example, in nats.

        The first three terms are means over q(y|x) where the label is missing. label_kl is KL(q(y|x) || p(y)), which is
        log num_classes where it is known.
        """
        num, classes = ops.shape(x)[0], self.num_classes
        # Each example once with each class: first all with class 0.
        every_x = ops.concatenate([x] * classes, axis=0)
        every_y = ops.repeat(ops.eye(classes, dtype=keras.config.floatx()), num, axis=0)
        noise = self.noise(vae, num) if noise is None else noise
        terms = super().losses(vae, every_x, every_y, noise, training)
        log_q = ops.log_softmax(self.classifier(x, training=training), axis=-1)
        known, given = self._given(y, num)
        chosen = ops.where(known[:, None], given, ops.exp(log_q))
        entropy = -ops.sum(ops.exp(log_q) * log_q, axis=-1)
        mean = {
            name: ops.sum(chosen * ops.transpose(ops.reshape(terms[name], (classes, num))), axis=-1)
            for name in ("reconstruction", "kl")
        }
        label_kl = float(np.log(classes)) - ops.where(known, ops.zeros_like(entropy), entropy)
        classification = -ops.sum(given * log_q, axis=-1)
        bound = mean["reconstruction"] + self.beta * mean["kl"] + label_kl
        return {
            "loss": bound + self.weight * classification,
            **mean,
            "label_kl": label_kl,
            "classification": classification,
        }

    def _given(self, y, num):
        """Return which rows have a label, and the labels as rows of zeros and a one, or of zeros where none is."""
        if y is None:
            return ops.zeros((num,), dtype="bool"), ops.zeros((num, self.num_classes), dtype=keras.config.floatx())
        if isinstance(y, (tuple, list, dict)) or len(y.shape) > 2 or (len(y.shape) == 2 and y.shape[1] != 1):
            raise ValueError(
                f"y must be one label per row, shape (n,), {MISSING} where it is missing; received {_shapes(y)}. "
                "SemiSupervised makes the rows of zeros and a one itself."
            )
        labels = ops.reshape(ops.cast(y, "int32"), (-1,))
        return labels >= 0, ops.one_hot(labels, self.num_classes, dtype=keras.config.floatx())

    def get_config(self):
        classifier = keras.saving.serialize_keras_object(self.classifier)
        return {
            **super().get_config(),
            "classifier": classifier,
            "num_classes": self.num_classes,
            "weight": self.weight,
        }

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the dictionary of a network that it builds
        return cls(keras.saving.deserialize_keras_object(config.pop("classifier")), **config)


def _shapes(y):
    return keras.tree.map_structure(lambda part: tuple(part.shape), y)
