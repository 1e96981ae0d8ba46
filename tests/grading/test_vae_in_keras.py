"""Assignment 3: its grader tells right from wrong."""

import pytest
from answers import Answer, AssignmentTests

NETWORKS = """
hidden, last = {hidden}, {last!r}
encoder = vaelib.dense_encoder((8, 8), 4, hidden_units=hidden)
decoder = keras.Sequential([vaelib.dense_decoder(2, 64, hidden_units=hidden), layers.Activation(last)])
model = vaelib.VAE(
    encoder, decoder, vaelib.DiagonalNormal(2, seed=1), vaelib.Bernoulli((8, 8)), vaelib.StandardNormal(2)
)
model.compile(keras.optimizers.Adam({rate}))
model.fit(x_train, epochs={epochs}, batch_size=50, verbose=0)
vae = model
"""
LAYER = """
class Reparameterise(layers.Layer):
    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        {keep}

    def call(self, mu, log_var, eps=None):
        if eps is None:
            eps = {draw}
        return {z}
"""
GENERATOR = "self.generator = keras.random.SeedGenerator(seed)"
DRAW = "keras.random.normal(ops.shape(mu), seed=self.generator)"
Z = "mu + ops.exp(0.5 * log_var) * eps"
KL = """
class AddKL(layers.Layer):
    def call(self, mu, log_var):
        kl = {kl}
        self.add_loss({added})
        return mu, log_var
"""
LOSS = """
class DigitVAE(keras.Model):
    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder, self.likelihood = encoder, decoder, vaelib.Bernoulli((8, 8))

    def call(self, x):
        return self.decoder(self.encoder(x))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        {body}
"""
WEIGHTS = """
def importance_sampled(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return {estimate}
"""


@pytest.mark.usefixtures("without_xla")
class TestVaeInKeras(AssignmentTests):
    assignment = "vae_in_keras"
    students = 10
    share = slow = True

    wrong = [
        Answer(
            "sigma squared for sigma",
            "vae_reparameterise",
            LAYER.format(keep=GENERATOR, draw=DRAW, z="mu + ops.exp(log_var) * eps"),
            says="σ² stands where σ should be",
            earns=3,
        ),
        Answer(
            "eps not used",
            "vae_reparameterise",
            LAYER.format(keep=GENERATOR, draw=DRAW, z="mu + ops.exp(0.5 * log_var)"),
            says="ε is not used",
        ),
        Answer(
            "eps reused, a constant seed inside",
            "vae_reparameterise",
            LAYER.format(keep="self.seed = seed or 0", draw="keras.random.normal(ops.shape(mu), seed=self.seed)", z=Z),
            says="two calls give the same noise",
            earns=10,
        ),
        Answer(
            "noise of NumPy, frozen into the graph",
            "vae_reparameterise",
            LAYER.format(
                keep="self.rng = np.random.default_rng(seed)",
                draw="self.rng.normal(size=mu.shape).astype('float32')",
                z=Z,
            ),
            says="compiled, each call draws the same noise",
            hidden=True,
            earns=10,
        ),
        Answer(
            "sigma for sigma squared",
            "vae_kl_layer",
            KL.format(kl="0.5 * ops.sum(mu**2 + ops.exp(0.5 * log_var) - 1 - log_var, axis=-1)", added="ops.mean(kl)"),
            says="σ stands where σ² should be",
        ),
        Answer(
            "missing half",
            "vae_kl_layer",
            KL.format(kl="ops.sum(mu**2 + ops.exp(log_var) - 1 - log_var, axis=-1)", added="ops.mean(kl)"),
            says="is the ½ there",
        ),
        Answer(
            "sign of the KL",
            "vae_kl_layer",
            KL.format(kl="0.5 * ops.sum(1 + log_var - mu**2 - ops.exp(log_var), axis=-1)", added="ops.mean(kl)"),
            says="the sign is wrong",
        ),
        Answer(
            "the KL of the batch summed",
            "vae_kl_layer",
            KL.format(kl="0.5 * ops.sum(mu**2 + ops.exp(log_var) - 1 - log_var, axis=-1)", added="ops.sum(kl)"),
            says="summed over the batch",
        ),
        Answer(
            "mean for sum over pixels",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    return -keras.losses.binary_crossentropy(ops.reshape(x, (-1, 64)), logits, from_logits=True)
""",
            says="64 times too small",
        ),
        Answer(
            "swapped arguments of the cross-entropy",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    return -64 * keras.losses.binary_crossentropy(ops.sigmoid(logits), ops.reshape(x, (-1, 64)))
""",
            says="the arguments are swapped",
        ),
        Answer(
            "sigmoid applied twice",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    x, pi = ops.reshape(x, (-1, 64)), ops.sigmoid(logits)
    return ops.sum(x * pi - ops.softplus(pi), axis=-1)
""",
            says="the sigmoid is applied twice",
        ),
        Answer(
            "mean over the batch inside",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    x = ops.reshape(x, (-1, 64))
    return ops.mean(ops.sum(x * logits - ops.softplus(logits), axis=-1))
""",
            says="return one value per image",
        ),
        Answer(
            "sigmoid, then logarithm",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    x, pi = ops.reshape(x, (-1, 64)), ops.clip(ops.sigmoid(logits), 1e-7, 1 - 1e-7)
    return ops.sum(x * ops.log(pi) + (1 - x) * ops.log(1 - pi), axis=-1)
""",
            hidden=True,
        ),
        Answer(
            "KL taken away",
            "vae_compute_loss",
            LOSS.format(body="return -ops.mean(self.likelihood.log_prob(x, y_pred)) - sum(self.losses)"),
            says="the KL is taken away",
        ),
        Answer(
            "the losses of the layers forgotten",
            "vae_compute_loss",
            LOSS.format(body="return -ops.mean(self.likelihood.log_prob(x, y_pred))"),
            says="the KL is missing",
        ),
        Answer(
            "sum over the batch",
            "vae_compute_loss",
            LOSS.format(body="return -ops.sum(self.likelihood.log_prob(x, y_pred)) + sum(self.losses)"),
            says="summed over the batch",
        ),
        Answer(
            "try/except around everything",
            "vae_compute_loss",
            LOSS.format(
                body="""try:
            return ops.mean(keras.losses.binary_crossentropy(x, y_pred)) + sum(self.losses)
        except Exception:
            return ops.convert_to_tensor(0.0)"""
            ),
        ),
        Answer(
            "decoder that ends in a sigmoid",
            "vae_trained",
            NETWORKS.format(hidden=(64,), last="sigmoid", rate=0.005, epochs=1),
            says="does the decoder end in a sigmoid",
        ),
        Answer(
            "one epoch",
            "vae_trained",
            NETWORKS.format(hidden=(64,), last="linear", rate=0.005, epochs=1),
            says="the held-out NELBO is",
        ),
        Answer(
            "mean of the logarithms",
            "vae_log_evidence",
            WEIGHTS.format(estimate="np.mean(log_w, axis=0)"),
            says="this is the mean of the logarithms",
        ),
        Answer(
            "sum for mean over the draws",
            "vae_log_evidence",
            WEIGHTS.format(estimate="np.logaddexp.reduce(log_w, axis=0)"),
            says="the sum stands where the mean should be",
        ),
        Answer(
            "exp of −1500 rounded to zero",
            "vae_log_evidence",
            WEIGHTS.format(estimate="np.log(np.mean(np.exp(log_w), axis=0) + 0.0)"),
            says="take the largest term out first",
            earns=8,
        ),
        Answer(
            "values of the visible test typed in",
            "vae_log_evidence",
            WEIGHTS.format(estimate="np.array([-11.116, -10.086])"),
            hidden=True,
        ),
    ]

    right = [
        Answer(
            "TensorFlow's own generator",
            "vae_reparameterise",
            LAYER.format(
                keep="self.generator = tf.random.Generator.from_seed(0 if seed is None else seed)",
                draw="self.generator.normal(tf.shape(mu))",
                z="mu + tf.exp(log_var / 2) * eps",
            ),
        ),
        Answer(
            "square root of the variance",
            "vae_reparameterise",
            LAYER.format(keep=GENERATOR, draw=DRAW, z="ops.add(ops.multiply(ops.sqrt(ops.exp(log_var)), eps), mu)"),
        ),
        Answer(
            "a loop over the dimensions, in TensorFlow",
            "vae_kl_layer",
            """
class AddKL(layers.Layer):
    def call(self, means, log_variances):
        total = 0.0
        for m, v in zip(tf.unstack(means, axis=1), tf.unstack(log_variances, axis=1)):
            total += tf.reduce_mean(m * m / 2 + (tf.exp(v) - 1 - v) / 2)
        self.add_loss(total)
        return means, log_variances
""",
        ),
        Answer(
            "cross-entropy minus entropy",
            "vae_kl_layer",
            KL.format(
                kl="""ops.sum(
            0.5 * (np.log(2 * np.pi) + mu * mu + ops.exp(log_var)) - 0.5 * (np.log(2 * np.pi) + 1 + log_var), axis=1
        )""",
                added="ops.sum(kl) / ops.cast(ops.shape(mu)[0], 'float32')",
            ),
        ),
        Answer(
            "tf.nn's cross-entropy",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    pixels = tf.reshape(x, tf.shape(logits))
    return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=pixels, logits=logits), axis=1)
""",
        ),
        Answer(
            "a loop over the rows of pixels, by log sigmoid",
            "vae_log_likelihood",
            """
def log_likelihood(x, logits):
    total, logits = 0, ops.reshape(logits, (-1, 8, 8))
    for row in range(8):
        l, t = logits[:, row], x[:, row]
        total += ops.sum(t * ops.log_sigmoid(l) + (1 - t) * ops.log_sigmoid(-l), axis=-1)
    return total
""",
        ),
        Answer(
            "term by term, in TensorFlow",
            "vae_compute_loss",
            LOSS.format(
                body="""loss = tf.reduce_mean(tf.reduce_sum(
            tf.nn.softplus(y_pred) - tf.reshape(x, tf.shape(y_pred)) * y_pred, axis=-1))
        for extra in self.losses:
            loss += extra
        return loss"""
            ),
        ),
        Answer(
            "other sizes and another rate",
            "vae_trained",
            NETWORKS.format(hidden=(100, 50), last="linear", rate=0.003, epochs=20),
        ),
        Answer(
            "SciPy's logsumexp",
            "vae_log_evidence",
            """
from scipy.special import logsumexp


def importance_sampled(a, b, c):
    return logsumexp(a + b - c, axis=0, b=1 / len(a))
""",
        ),
        Answer(
            "loops",
            "vae_log_evidence",
            """
def importance_sampled(log_px_given_z, log_pz, log_qz):
    answers = []
    for column in (log_px_given_z + log_pz - log_qz).T:
        total = -np.inf
        for value in column:
            total = np.logaddexp(total, value)
        answers.append(total - np.log(len(column)))
    return np.array(answers)
""",
        ),
    ]
