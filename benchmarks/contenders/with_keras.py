"""The model in plain Keras, on TensorFlow."""

from contenders.setting import Contender
from contenders.with_vaelib import after


def fit(x, setting):
    """Keras's own `fit`, with the loss in `compute_loss`."""
    import vaelib  # noqa: F401  (quiet start of TensorFlow)
    import keras
    from keras import ops

    class HandMade(keras.Model):
        def __init__(self):
            super().__init__()
            self.networks, self.seed_generator, self.loss_of = _loss(setting)

        def call(self, x):
            return self.loss_of(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(y_pred)

    return _contender(HandMade(), x, setting)


def train_step(x, setting):
    """Keras's `fit` around a `train_step` written by hand with a GradientTape, as tutorials do."""
    import vaelib  # noqa: F401  (quiet start of TensorFlow)
    import keras
    import tensorflow as tf
    from keras import ops

    class WithTrainStep(keras.Model):
        def __init__(self):
            super().__init__()
            self.networks, self.seed_generator, self.loss_of = _loss(setting)
            self.tracker = keras.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = ops.mean(self.loss_of(data))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result()}

        def test_step(self, data):
            self.tracker.update_state(self.loss_of(data))
            return {"loss": self.tracker.result()}

    return _contender(WithTrainStep(), x, setting)


def _contender(model, x, setting):
    model.compile("adam")

    def train(after_epoch=None):
        options = dict(epochs=setting.epochs, batch_size=setting.batch_size, verbose=0)
        return model.fit(x, callbacks=after(after_epoch), **options)

    return Contender(train, lambda x_test: model.evaluate(x_test, verbose=0, return_dict=True)["loss"])


def _loss(setting):
    """The networks, the generator of the noise, and the loss of each example."""
    import math

    import keras
    from keras import layers, ops

    d, k = setting.latent_dim, setting.num_samples
    if setting.filters:
        few, many = setting.maps
        encoder = keras.Sequential(
            [
                layers.Reshape((28, 28, 1)),
                layers.Conv2D(few, 3, 2, "same", activation="relu"),
                layers.Conv2D(many, 3, 2, "same", activation="relu"),
                layers.Flatten(),
                layers.Dense(2 * d),
            ]
        )
        decoder = keras.Sequential(
            [
                layers.Dense(49 * many, "relu"),
                layers.Reshape((7, 7, many)),
                layers.Conv2DTranspose(many, 3, 2, "same", activation="relu"),
                layers.Conv2DTranspose(few, 3, 2, "same", activation="relu"),
                layers.Conv2D(1, 3, padding="same"),
                layers.Flatten(),
            ]
        )
    else:
        hidden = [[layers.Dense(setting.units, "relu") for _ in range(setting.depth)] for _ in range(2)]
        encoder = keras.Sequential([layers.Flatten(), *hidden[0], layers.Dense(2 * d)])
        decoder = keras.Sequential([*hidden[1], layers.Dense(784)])
    seed_generator = keras.random.SeedGenerator()

    def loss(x):
        mu, log_var = ops.split(encoder(x), 2, axis=-1)
        eps = keras.random.normal((k, *ops.shape(mu)), seed=seed_generator)
        z = mu + ops.exp(0.5 * log_var) * eps
        logits, x = decoder(ops.reshape(z, (-1, d))), ops.reshape(x, (-1, 784))
        logits = ops.reshape(logits, (k, -1, 784))
        reconstruction = ops.sum(ops.softplus(logits) - x * logits, axis=-1)
        if k == 1:
            return reconstruction[0] + 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1 - log_var, axis=-1)
        log_ratio = 0.5 * ops.sum(ops.square(eps) + log_var - ops.square(z), axis=-1)
        return math.log(k) - ops.logsumexp(log_ratio - reconstruction, axis=0)

    return (encoder, decoder), seed_generator, loss
