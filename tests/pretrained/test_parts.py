"""The script behind the figures of lesson 08, and the file that it wrote."""

import base64
import io
import json

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import stats

import vaelib
from vaelib.pretrained import FOLDER
from vaelib.pretrained import parts as script

RNG = np.random.default_rng(0)
PARTS = ("encoder", "decoder", "posterior", "likelihood", "prior", "objective")
SWAPS = [name for name in script.SWAPS if name not in ("base", "base on grey")]
# What must follow when a part asks for another number of inputs or outputs: the networks' ends, and the code's size.
FOLLOW = {"q(z|x)": {"encoder"}, "p(x|z)": {"decoder"}, "p(z)": {"encoder", "decoder", "posterior"}}


def built(name):
    return script.build(0, **script.SWAPS[name]["changes"])


def told(part):
    """A part as a text: its configuration without the names that Keras counts up."""
    if isinstance(part, vaelib.model.priors.Prior | vaelib.model.distributions.Distribution):
        numbers = {key: getattr(part, key, None) for key in ("event_shape", "params_size", "num_components")}
        return f"{type(part).__name__} {numbers} {[weight.shape for weight in part.trainable_weights]}"
    if isinstance(part, vaelib.model.objectives.Objective):
        kept = {key: float(np.asarray(getattr(part, key, 0))) for key in ("beta", "num_draws", "num_samples")}
        return f"{type(part).__name__} {kept}"
    return str([(type(layer).__name__, [weight.shape for weight in layer.weights]) for layer in part.layers])


@pytest.fixture(scope="module")
def base():
    return {part: told(getattr(built("base"), part)) for part in PARTS}


@pytest.mark.parametrize("name", SWAPS)
def test_a_swap_changes_one_part_and_says_which(name, base):
    its, model = script.SWAPS[name], built(name)
    changed = {part for part in PARTS if told(getattr(model, part)) != base[part]}
    before, after = its["code"]
    part, expression = after.split("=", 1)
    assert before.split("=", 1)[0] == part
    assert part in changed and changed <= {part} | FOLLOW.get(its["socket"], set())
    names = {**{key: getattr(vaelib, key) for key in dir(vaelib)}, **vars(script)}
    names |= {key: getattr(vaelib, key) for key in ("dense_encoder", "dense_decoder", "conv_encoder", "conv_decoder")}
    made = eval(expression, names)  # the line of code that the lab shows makes this very part
    if part == "prior" and isinstance(made, vaelib.VampPrior):
        made.connect(model.encoder, model.posterior)
    assert told(made) == told(getattr(model, part))


def test_a_smaller_code_is_the_only_swap_that_moves_q_too(base):
    for name in SWAPS:
        if script.SWAPS[name]["socket"] == "p(z)":
            moved = told(built(name).posterior) != base["posterior"]
            assert moved is name.endswith(" dimensions")


def test_several_draws_are_the_mean_of_single_ones():
    vae = script.build(0, objective=lambda: script.SeveralDraws(4))
    x = RNG.integers(0, 2, (5, 28, 28)).astype("float32")
    noise = RNG.standard_normal((4, 5, 10)).astype("float32")
    together = vae.objective.losses(vae, x, noise=noise)
    single = [vaelib.ELBO().losses(vae, x, noise=each) for each in noise]
    for name in ("loss", "reconstruction", "kl"):
        expected = np.mean([terms[name] for terms in single], axis=0)
        np.testing.assert_allclose(together[name], expected, rtol=1e-5)
    assert vae.objective.noise(vae, 5).shape == (4, 5, 10)


def test_the_prior_of_two_layers_has_the_mean_that_quadrature_finds():
    keras.utils.set_random_seed(0)
    prior = script.TwoLayers(1, top_dim=1, seed=0)
    z = np.float32([[0.4]])
    estimates = np.exp(prior.log_prob(np.repeat(z, 40_000, axis=0)))
    tops = np.linspace(-7, 7, 1401)
    mean, log_var = np.asarray(prior.down(tops[:, None].astype("float32")), float).T
    density = np.trapezoid(stats.norm.pdf(tops) * stats.norm.pdf(z[0, 0], mean, np.exp(log_var / 2)), tops)
    assert estimates.mean() == pytest.approx(density, abs=4 * estimates.std() / np.sqrt(len(estimates)))
    drawn = np.ravel(prior.sample(num=20_000))
    assert drawn.mean() == pytest.approx(
        np.trapezoid(stats.norm.pdf(tops) * mean, tops), abs=4 * drawn.std() / np.sqrt(len(drawn))
    )
    assert prior.sample(num=(3, 2)).shape == (3, 2, 1)


def test_two_models_are_judged_on_the_same_draws():
    x = script.black_and_white(RNG.random((6, 28, 28)), 1)
    one, other = script.build(0), script.build(0)
    other.posterior.noise((3,))  # has drawn before
    np.testing.assert_allclose(script.judge(one, x, 7, 2, 3), script.judge(other, x, 7, 2, 3), rtol=1e-5)


def test_grey_digits_are_judged_by_a_density():
    x = RNG.random((4, 28, 28)).astype("float32")
    vae = script.build(0)
    density = script.build(0, likelihood=vaelib.ContinuousBernoulli)
    np.testing.assert_allclose(script.judge(vae, x, 1, 2, 3), script.judge(density, x, 1, 2, 3), rtol=1e-5)


def test_images_keep_their_greys():
    images = RNG.random((3, 5, 4))
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(script.as_png(images)))).convert("L"))
    np.testing.assert_allclose(picture / 255, np.concatenate(images, axis=1), atol=0.5 / 15 + 1e-6)


def test_the_file_is_what_the_script_writes():
    text = (FOLDER / "parts.json").read_text("utf-8")
    record = json.loads(text)
    assert record["script"] == "python -m vaelib.pretrained.parts"
    assert (record["data"], record["train"], record["test"]) == ("MNIST", script.NUM_TRAIN, script.NUM_TEST)
    assert (record["epochs"], record["seeds"]) == (script.EPOCHS, script.NUM_SEEDS)
    assert record["draws"] == {"elbo": script.NUM_ELBO, "log_p": script.NUM_EVIDENCE}
    assert list(record["rows"]) == list(script.SWAPS)
    for name, row in record["rows"].items():
        assert {key: row[key] for key in ("socket", "code", "grey")} == {
            key: script.SWAPS[name][key] for key in ("socket", "code", "grey")
        }
        assert len(row["elbo"]) == len(row["log_p"]) == script.NUM_SEEDS
        assert np.all(np.array(row["log_p"]) > row["elbo"])
    assert script.to_json(record) == text
