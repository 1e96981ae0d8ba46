"""What the tests share: quiet libraries, the order of long and slow tests, tiny models and images."""

import gc
import os
import signal

# As vaelib sets them; here too, for test modules that import Keras first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# The cores are shared out among pytest's workers. A second thread of NumPy's would only spin while it waits for its
# turn: where NumPy computes, a third of the processor's time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

# The same examples on every run: a red test stays red until somebody mends it.
settings.register_profile("course", derandomize=True, deadline=None)
settings.load_profile("course")

# In a shell's background Ctrl-C is ignored, also by the processes that some tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHAPE = (8, 8)
# What takes longest begins first, so that the cores end together.
LONG = ("test_changed_parameters.py", "test_every_notebook.py", ".ipynb", "test_classroom.py", "test_own_folder.py")


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.suffix == ".ipynb":  # a whole notebook, under nbval
            item.add_marker(pytest.mark.slow)
    rank = {item.path: [item.path.name.endswith(end) for end in LONG] for item in items}
    items.sort(key=lambda item: rank[item.path], reverse=True)


def pytest_collection_finish(session):
    """Spare the garbage collector what the libraries hold, a million objects: it would walk them in every test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="module", autouse=True)
def garbage_left_alone():
    """Spare it what former modules left, too: TensorFlow takes half a minute to take a few hundred programs down.

    Whoever collected the garbage first had to wait for that; the end of the process does it for nothing.
    """
    gc.freeze()


def pytest_unconfigure():
    gc.freeze()  # Python collects once more when it ends


def build_vae(
    network="dense",
    posterior="DiagonalNormal",
    likelihood="Bernoulli",
    prior="StandardNormal",
    *,
    objective=None,
    shape=SHAPE,
    latent_dim=2,
    units=5,
    **options,
):
    """Build a tiny VAE; each part is named by its class in vaelib, or given as a class; an objective may be made."""
    import vaelib

    def part(value, *args):
        return (getattr(vaelib, value) if isinstance(value, str) else value)(*args)

    q, p, prior = part(posterior, latent_dim), part(likelihood, shape), part(prior, latent_dim)
    if network == "conv":
        encoder = vaelib.conv_encoder(shape, q.params_size, (units,))
        decoder = vaelib.conv_decoder(latent_dim, shape, p.params_size, (units,))
    else:
        hidden_units = () if network == "linear" else (units,)
        encoder = vaelib.dense_encoder(shape, q.params_size, hidden_units)
        decoder = vaelib.dense_decoder(latent_dim, p.params_size, hidden_units)
    objective = objective() if isinstance(objective, type) else objective
    return vaelib.VAE(encoder, decoder, q, p, prior, objective, **options)


@pytest.fixture(scope="module")
def seeded():
    """Draw the same weights and noise in every run: a bound of four standard errors is then no lottery."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def make_vae():
    """The function that builds a tiny VAE of any pairing."""
    return build_vae


@pytest.fixture(scope="session")
def images():
    """Sixty grey 8 x 8 images in [0, 1]: a bright bar at a random height, so that there is something to learn."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 7, (60, 1, 1))
    bars = np.exp(-0.5 * (np.arange(8)[None, :, None] - rows) ** 2) * np.ones((1, 1, 8))
    return (0.9 * bars + 0.1 * rng.uniform(size=bars.shape)).astype("float32")


@pytest.fixture(scope="module")
def without_xla():
    """Leave XLA out of the blocks: it takes seconds per model to compile, and the tests need the graph alone."""
    from vaelib.training import compilation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "xla_is_faster", lambda model: False)
        yield


@pytest.fixture
def perturb():
    """Give every weight of a model a random value, so that no bias is zero by chance of the initialiser."""

    def change(model, seed=0, scale=0.3):
        rng = np.random.default_rng(seed)
        model.set_weights([w if w.ndim == 0 else scale * rng.normal(size=w.shape) for w in model.get_weights()])
        return model

    return change
