"""The parts together: in the pairings below every two parts of different kinds meet, and none is a special case."""

import functools
import itertools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from gradients import assert_gradients_are_differences, in_variables, value_and_gradients
from keras import ops
from parts import DISTRIBUTIONS, LIKELIHOODS, OBJECTIVES, POSTERIORS, PRIORS, WHOLE, every_two_together, one_like

from vaelib.model.networks import conv_decoder, conv_encoder, dense_decoder, dense_encoder
from vaelib.model.objectives import ELBO
from vaelib.model.vae import VAE

pytestmark = pytest.mark.usefixtures("seeded")

SHAPE, BATCH = (3, 2), 5
NETWORKS = ["dense", "conv"]
KINDS = [NETWORKS, POSTERIORS, LIKELIHOODS, PRIORS, list(OBJECTIVES)]
numpy = ops.convert_to_numpy


def part(name, shape):
    return DISTRIBUTIONS[name](shape)


def refusal(posterior, prior, objective):
    """Return how a combination is refused, or None where it fits."""
    q, learned = one_like(posterior), prior != "StandardNormal"
    if q.support != one_like(prior).support:
        return "support .* they must be equal"
    if objective == "VectorQuantised":
        return "needs a CodeBook as posterior and UniformCodes as prior"
    through = objective.startswith(("GumbelSoftmax", "StraightThrough"))
    if through and not hasattr(q, "relaxed"):
        return "relaxed draws, Bernoulli or Categorical"
    if not (q.reparameterized or through or objective.startswith(("ScoreFunction", "VIMCO"))):
        return "is not reparameterised"
    if objective.startswith("Adversarial"):
        return "has weights of its own" if learned else None
    if objective.endswith("doubly reparameterised") and q.trainable_variables:
        return "has weights of its own"
    return None if q.has_density else "has no density"


# Classes are no pictures: the one bias of a map would move all logits of a pixel row alike, and no loss sees that.
EVEN = {
    name: like.params_size % np.prod(SHAPE) == 0 and like.support != "one-hot"
    for name, like in ((name, one_like(name, SHAPE)) for name in LIKELIHOODS)
}
REFUSALS = {parts: refusal(*parts) for parts in itertools.product(POSTERIORS, PRIORS, OBJECTIVES)}


def fit_together(network, posterior, likelihood, prior, objective):
    # A convolutional decoder draws whole pictures of parameters.
    return REFUSALS[posterior, prior, objective] is None and (network == "dense" or EVEN[likelihood])


PAIRINGS = every_two_together(KINDS, fit_together)


def build(network, posterior, likelihood, prior, objective):
    """Build a VAE of named parts, and data for it. Smooth networks: a kink has no derivative.

    The noise is the same in every run: now and then a whole batch of binary codes is 0, and no slope reaches a weight.
    """
    keras.utils.set_random_seed(0)
    q, p = part(posterior, (2,)), part(likelihood, SHAPE)
    if network == "conv":
        encoder = conv_encoder(SHAPE, q.params_size, (2,), activation="tanh")
        decoder = conv_decoder(2, SHAPE, p.params_size, (2,), activation="tanh")
    else:
        encoder = dense_encoder(SHAPE, q.params_size, (3,), activation="tanh")
        decoder = dense_decoder(2, p.params_size, (3,), activation="tanh")
    vae = VAE(encoder, decoder, q, p, part(prior, (2,)), OBJECTIVES[objective](SHAPE, 2))
    rng = np.random.default_rng(0)
    for variable in vae.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    x = rng.uniform(0.05, 0.95, size=(BATCH, *SHAPE))
    if p.support in WHOLE:
        x = one_hot(rng)  # zeros and ones, too
    return vae, x.astype("float32")


def one_hot(rng):
    """Data that any likelihood takes: one of two classes in each row of each example."""
    return np.eye(SHAPE[1])[rng.integers(SHAPE[1], size=(BATCH, SHAPE[0]))]


built_once = functools.cache(build)


def test_every_two_parts_that_fit_meet_in_a_pairing():
    for (i, kind), (j, other) in itertools.combinations(enumerate(KINDS), 2):
        for one, another in itertools.product(kind, other):
            fits = any(fit_together(*c) for c in itertools.product(*KINDS) if c[i] == one and c[j] == another)
            assert fits == any(c[i] == one and c[j] == another for c in PAIRINGS), (one, another)


SOME_REFUSALS = [
    c for c, message in REFUSALS.items() if message and (c[0] == "DiagonalNormal" or c[1] == "StandardNormal")
]


@pytest.mark.parametrize("combination", SOME_REFUSALS, ids="-".join)
def test_what_does_not_fit_is_refused_by_name(combination):
    posterior, prior, objective = combination
    with pytest.raises(ValueError, match=REFUSALS[combination]):
        vae, x = build("dense", posterior, "Bernoulli", prior, objective)
        vae.loss_terms(x)


def some_of(pairings, step):
    """One test for each, of which `make test` runs every second, or third."""
    return pytest.mark.parametrize(
        "parts",
        [
            pytest.param(parts, id="-".join(parts), marks=[pytest.mark.slow] if n % step else [])
            for n, parts in enumerate(pairings)
        ],
    )


@some_of(PAIRINGS, step=3)
def test_losses_and_their_gradients(parts, doubles):
    """Under common noise, against differences, in float64.

    A loss that is not reported is a surrogate: its gradient means something, and is not the slope of its value.
    """
    vae, x = build(*parts)
    noise, players = vae.objective.noise(vae, BATCH), vae.players()
    terms = vae.loss_terms(x, noise=noise)
    assert {"loss", *vae.objective.names, *players} <= set(terms)
    for term in terms.values():
        assert term.shape == (BATCH,) and np.all(np.isfinite(numpy(term)))
    for name, player in players.items():

        def loss(name=name):
            return ops.mean(vae.loss_terms(x, noise=noise)[name])

        at, values = in_variables(loss, player.variables), [numpy(variable.value) for variable in player.variables]
        if name in vae.objective.names:
            gradients = assert_gradients_are_differences(at, *values)
        else:
            _, gradients = value_and_gradients(at, *values)
        for variable, gradient in zip(player.variables, gradients, strict=True):
            assert np.any(gradient != 0), f"{name} does not reach {variable.path}"


@some_of(PAIRINGS, step=4)
def test_a_step_moves_the_variables_of_each_player_and_no_other(parts):
    vae, x = built_once(*parts)
    players = vae.players()
    for name in players:
        vae.compile(
            {other: keras.optimizers.Adam(0.01 if other == name else 0.0) for other in players}, run_eagerly=True
        )
        before = {id(v): numpy(v.value) for v in vae.weights}
        history = vae.fit(x, batch_size=BATCH, verbose=0).history
        assert set(history) == set(vae.objective.names) and np.all(np.isfinite(list(history.values())))
        moved = {id(v) for v in vae.weights if np.any(numpy(v.value) != before[id(v)])}
        assert moved == {id(v) for v in players[name].variables}
    outputs = vae(x)
    assert {key: tuple(value.shape) for key, value in outputs.items() if key != "log_q"} == {
        "posterior_params": (BATCH, vae.posterior.params_size),
        "z": (BATCH, 2),
        "likelihood_params": (BATCH, vae.likelihood.params_size),
    }
    if vae.posterior.has_density:
        assert vae.elbo(x).shape == (BATCH,)


LOAD = """
import json
import sys
import numpy as np
import vaelib
from keras.ops import convert_to_numpy as numpy
folder = sys.argv[1]
data = np.load(f"{folder}/data.npz")
for i in range(int(sys.argv[2])):
    vae = vaelib.load(f"{folder}/{i}.keras")
    saved = {"decoded": vae.decode(data["z"]), "codes": vae.encode(data["x"]), "prior": vae.prior.mean()}
    saved |= {f"state{j}": numpy(v.value) for j, v in enumerate(vae.optimizer.variables)}
    if i == 0:
        vae.fit(data["x"], verbose=0)  # and trains on
        saved["steps"] = vae.optimizer.iterations.value
    np.savez(f"{folder}/{i}.npz", **{name: numpy(value) for name, value in saved.items()})
    with open(f"{folder}/{i}.json", "w") as file:
        json.dump(vae.objective.get_config(), file)
"""


@pytest.mark.parametrize(
    "step", [pytest.param(40, id="every fortieth"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def test_saved_models_load_in_a_fresh_process(step, tmp_path):
    models = [built_once(*parts) for parts in PAIRINGS[::step]]
    for i, (vae, x) in enumerate(models):
        if not vae.compiled:  # where this test runs alone
            vae.compile("adam", run_eagerly=True)
            vae.fit(x, verbose=0)
        if isinstance(vae.objective, ELBO):
            vae.objective.beta = 0.75
        vae.save(tmp_path / f"{i}.keras")
    z = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
    any_x = one_hot(np.random.default_rng(1)).astype("float32")
    np.savez(tmp_path / "data.npz", x=any_x, z=z)
    # From another folder, with nothing imported but vaelib itself.
    command = [sys.executable, "-c", LOAD, str(tmp_path), str(len(models))]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr.replace("DeprecationWarning", ""), result.stderr
    for i, (vae, _) in enumerate(models):
        loaded = np.load(tmp_path / f"{i}.npz")
        np.testing.assert_allclose(loaded["decoded"], vae.decode(z), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(loaded["codes"], vae.encode(any_x), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(loaded["prior"], numpy(vae.prior.mean()), rtol=1e-5, atol=1e-6)
        states = [numpy(v.value) for v in vae.optimizer.variables]
        assert sum(bool(np.any(state)) for state in states) > 2
        for j, state in enumerate(states):
            np.testing.assert_allclose(loaded[f"state{j}"], state)
        objective = json.loads((tmp_path / f"{i}.json").read_text())
        assert objective == json.loads(json.dumps(vae.objective.get_config()))
        assert objective.get("beta") == 0.75 or not isinstance(vae.objective, ELBO)
        if i == 0:
            assert int(loaded["steps"]) == int(vae.optimizer.iterations) + 1


@pytest.mark.parametrize("parts", PAIRINGS[:4], ids="-".join)
def test_its_configuration_makes_it_again(parts):
    vae, x = built_once(*parts)
    config = vae.get_config()
    for _ in range(2):  # the first must leave the configuration whole
        copy = VAE.from_config(config)
    copy.set_weights(vae.get_weights())
    for name in ("posterior", "likelihood", "prior", "objective"):
        assert type(getattr(copy, name)) is type(getattr(vae, name))
        assert getattr(copy, name).get_config() == getattr(vae, name).get_config()
    z = vae.encode(x)
    np.testing.assert_array_equal(copy.encode(x), z)
    np.testing.assert_array_equal(copy.decode(z), vae.decode(z))
    np.testing.assert_array_equal(numpy(copy.prior.mean()), numpy(vae.prior.mean()))
