"""Notebook 07 proves its formulas only if each claim fails when its formula is broken."""

import pytest
from breaking import claims_of, run_until

from vaelib.teaching.claims import ClaimError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "07_vae_in_keras"
SMALL = {
    "x_train, x_test, y_test = mnist.x_train, mnist.x_test, mnist.y_test": (
        "x_train, x_test, y_test = mnist.x_train[:2000], mnist.x_test[:1000], mnist.y_test[:1000]"
    ),
    ", jit_compile=True": "",
}
QUICK = {"hidden_units": 30, "epochs": 1, "batch_size": 20}

# Pieces of the notebook's own code: (the piece, what breaks it, the claim that catches it).
SOURCES = {
    "a draw that stays in the graph": (
        "tf.numpy_function(rng.normal, [mu, some_sigma], tf.float64)",
        "mu + keras.random.normal((2,))",
        "a draw that leaves the graph has no gradient",
    ),
    "a mean that counts twice": (
        "keras.random.normal((2,), mu, some_sigma)",
        "keras.random.normal((2,), 2 * mu, some_sigma)",
        "Keras's draw passes ∂z/∂μ = 1",
    ),
    "σ² for σ": ("ops.exp(0.5 * log_var) * eps", "ops.exp(log_var) * eps", "(3) ∂z/∂log σ² = ½ σ ε"),
    "σ² for σ, drawn": ("ops.exp(0.5 * log_var) * eps", "ops.exp(log_var) * eps", "(3) the draws have variance σ²"),
    "an integer seed": (
        "keras.random.normal(ops.shape(mu), seed=self.seed_generator)",
        "keras.random.normal(ops.shape(mu), seed=7)",
        "a second call draws other noise",
    ),
    "black taken for white": (
        "ops.softplus(logits) - x * logits",
        "ops.softplus(logits) - (1 - x) * logits",
        "(5) is SciPy's Bernoulli",
    ),
    "a mean over the pixels": (
        "return ops.sum(ops.softplus(logits) - x * logits",
        "return ops.mean(ops.softplus(logits) - x * logits",
        "Keras's mean is 784 times too small",
    ),
    "white too rarely": (
        "(rng.random(x.shape) < x)",
        "(rng.random(x.shape) < x**2)",
        "(6) the mean over black-and-white draws",
    ),
    "σ for σ² in the KL": (
        "ops.exp(log_var) - 1 - log_var",
        "ops.exp(0.5 * log_var) - 1 - log_var",
        "(7) is the mean of log q − log p",
    ),
    "a KL without its half": (
        "return 0.5 * ops.sum(",
        "return ops.sum(",
        "(7) is the mean of log q − log p",
    ),
    "the KL forgotten": ("ops.mean(weight * sum(terms))", "ops.mean(weight * terms[0])", "same noise, same loss"),
    "a gradient that stops": (
        "terms = reconstruction_loss(x, logits), kl_loss(mu, log_var)\n        for",
        "terms = reconstruction_loss(x, logits), kl_loss(ops.stop_gradient(mu), log_var)\n        for",
        "and the same gradient in every weight",
    ),
    "weights forgotten": ("ops.mean(weight * sum(terms))", "ops.mean(sum(terms))", "sample weights count"),
    "penalties forgotten": (" + sum(self.losses)", "", "a layer's penalty counts"),
    "no step taken": (
        "adam.apply(tape.gradient(loss, shared), shared)",
        "pass",
        "the KL leaps up in the first steps, and falls back within a hundred",
    ),
    "parts of other images": (
        "part.update_state(term, sample_weight)",
        "part.update_state(1.01 * term, sample_weight)",
        "NELBO = reconstruction + KL, after every epoch",
    ),
    "a bound from above": (
        "elbo = vae.elbo(x_bw, num_samples=100)",
        "elbo = 20 + vae.elbo(x_bw, num_samples=100)",
        "the ELBO lies below log p(x) on average",
    ),
}


@pytest.mark.parametrize("broken", SOURCES)
def test_a_broken_cell_breaks_its_claim(broken):
    old, new, claim = SOURCES[broken]
    with pytest.raises(ClaimError):
        run_until(
            NOTEBOOK, claim, parameters=QUICK, source={**SMALL, old: new}, without=("PredictPlace(", "passing = [")
        )


def test_what_comes_after_training_broken_in_many_places_breaks_many_claims():
    breaks = {
        **SMALL,
        "for _ in range(100):": "for _ in range(2):",
        "early_kl[1:]": "np.ones(100)",
        'keras.saving.load_model(f"{folder}/vae.keras")': "keras.models.clone_model(hand_made)",
        "    begin_again(model)\n": "",
        "coverage = 1 - 1 / 15": "coverage = 0.98",
        "vae.objective.beta = 28 * 28": "vae.objective.beta = 1",
    }
    failed = claims_of(NOTEBOOK, parameters={**QUICK, "epochs": 2}, source=breaks, last="and is the mean digit")[1]
    assert {
        "by hand and by vaelib: the same loss, up to noise",
        "the loaded decoder answers as ours",
        "the loaded encoder too",
        "each picture stands in the middle of its cell",
        "the twin's stay as wide as the prior",
        "the twin's code says next to nothing",
        "its image hardly changes with the code",
        "and is the mean digit",
    } <= set(failed)
