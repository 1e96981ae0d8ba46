"""Every lab of the course, small, by name: the tests that hold for all labs run over them."""

import base64
import functools

import numpy as np
from sklearn.datasets import load_digits

from vaelib.teaching.runs import Pair, Run
from vaelib.theory.autoencoders import Autoencoder, VariationalAutoencoder
from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian
from vaelib.widgets.bends_lab import BendsLab
from vaelib.widgets.bug_hunt_lab import BugHuntLab
from vaelib.widgets.causes_lab import CausesLab
from vaelib.widgets.codebook_lab import CodebookLab
from vaelib.widgets.darts_lab import DartsLab
from vaelib.widgets.derivation_lab import DerivationLab
from vaelib.widgets.diffusion_lab import DiffusionLab
from vaelib.widgets.elbo_lab import ElboLab
from vaelib.widgets.gradient_lab import GradientLab
from vaelib.widgets.gradient_race import GradientRace
from vaelib.widgets.kl_lab import KlLab
from vaelib.widgets.kl_map_lab import KlMapLab
from vaelib.widgets.latent_codes_lab import LatentCodesLab
from vaelib.widgets.parts_lab import PartsLab
from vaelib.widgets.png import to_png
from vaelib.widgets.predict import PredictChoice, PredictCurve, PredictPlace
from vaelib.widgets.regression_lab import RegressionLab
from vaelib.widgets.ruler_lab import RulerLab
from vaelib.widgets.simplex_lab import SimplexLab
from vaelib.widgets.water_lab import WaterLab
from vaelib.widgets.wrong_loss_lab import WrongLossLab
from vaelib.widgets.your_digit_lab import YourDigitLab

X = np.linspace(-2, 2, 41)
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(100, 2)) @ np.array([[1.0, 0.8], [0.0, 0.4]])
LABELS = (FEATURES.sum(axis=1) + RNG.logistic(size=100) > 0).astype(int)


def small_latent_codes():
    """An autoencoder and a VAE, hardly trained, of digits of three pixels by two."""
    x = np.random.default_rng(0).integers(0, 17, (60, 6)) / 16
    models = {}
    for name, model in {"autoencoder": Autoencoder, "VAE": VariationalAutoencoder}.items():
        models[name] = model(6, 5, 2, np.random.default_rng(1))
        models[name].fit(x, 20, 20, 0.05, np.random.default_rng(2))
    return LatentCodesLab(models, x, np.arange(60) % 10, (3, 2))


@functools.cache
def small_vae():
    digits = load_digits()
    x, labels = digits.data[:300] / 16, digits.target[:300]
    vae = VariationalAutoencoder(64, 16, 2, np.random.default_rng(1))
    vae.fit(x, 40, 50, 0.02, np.random.default_rng(2))
    return vae, x, labels


def your_digit(view):
    vae, x, labels = small_vae()
    return YourDigitLab(vae, view, x, labels)


def wrong_loss():
    def run(seed, epochs=6, scale=1.0):
        rng = np.random.default_rng(seed)
        curves = {
            name: scale * (5 - np.arange(float(epochs)) + rng.random(epochs)) for name in ("reconstruction", "kl")
        }
        curves = {f"val_{name}": curve for name, curve in {**curves, "loss": sum(curves.values())}.items()}
        codes, labels = rng.standard_normal((50, 2)), rng.integers(0, 10, 50)
        return Run(curves, codes, labels, rng.random((3, 8, 9, 7)), scale * 7, 2)

    right = run(0)
    return WrongLossLab(
        {"one": Pair(run(1), right, "look."), "two": Pair(run(2, epochs=3, scale=1e5), right, "look again.")}
    )


def parts():
    """Two swaps in each of two sockets, and one on grey pixels against a base of its own."""
    rng = np.random.default_rng(3)
    sockets = {"base": "", "one": "q(z|x)", "two": "q(z|x)", "three": "objective", "four": "objective"}
    sockets |= {"base on grey": "", "five": "p(x|z)"}
    png = base64.b64encode(to_png(rng.random((4, 32)))).decode()
    rows = {}
    for name, socket in sockets.items():
        elbo = rng.normal(-120, 3, 5)
        code = [f"part={name}", f"part={name}()"] if socket else ["", ""]
        rows[name] = {"socket": socket, "code": code, "grey": name in ("base on grey", "five"), "samples": png}
        rows[name] |= {"elbo": elbo.tolist(), "log_p": (elbo + rng.uniform(3, 6, 5)).tolist(), "weights": 1234}
    return PartsLab(rows)


def water():
    """Nine directions above the lowest water, of digits that were never written."""
    rng = np.random.default_rng(5)
    directions = np.linalg.qr(rng.standard_normal((784, 784)))[0]
    variances = np.concatenate([3.0 * 0.7 ** np.arange(9), np.full(775, 0.01)])
    examples = {f"a {digit}": rng.integers(0, 256, (28, 28)) / 255 for digit in range(3)}
    return WaterLab(rng.uniform(0, 0.5, 784), variances, directions, examples)


LABS = {
    "parts": parts,
    "kl": KlLab,
    "kl_map": KlMapLab,
    "causes": lambda: CausesLab(steps=20),
    "codebook": CodebookLab,
    "darts": DartsLab,
    "bends": BendsLab,
    "derivation": lambda: DerivationLab(LinearGaussian(1.2, 0.5, 0.8), [2.5]),
    "diffusion": DiffusionLab,
    "gradient": GradientLab,
    "gradient_race": GradientRace,
    "latent_codes": small_latent_codes,
    "predict_choice": lambda: PredictChoice("How many?", ["two", "four"], "four", "Twice two."),
    "predict_curve": lambda: PredictCurve("How does it bend?", X, X**2, (-1.0, 5.0), "x", "f(x)", because="A square."),
    "predict_place": lambda: PredictPlace("How deep?", 0.083, 0.0, 1.0, "smallest gap", because="It is flat."),
    "elbo_linear": lambda: ElboLab(LinearGaussian(1.2, 0.5, 0.8), [2.5]),
    "ruler": lambda: RulerLab(2.0, 1.3),
    "simplex": lambda: SimplexLab(steps=30),
    "water": water,
    "wrong_loss": wrong_loss,
    "bug_hunt": BugHuntLab,
    **{f"your_digit_{view}": functools.partial(your_digit, view) for view in ("code", "bound", "posterior")},
    "regression": lambda: RegressionLab(FEATURES, LABELS, ["one", "two"]),
    "elbo_bernoulli": lambda: ElboLab(BernoulliLatent([2.0, 1.0], [-0.5, 0.5]), [1.0, 1.0]),
}


def positions(lab, num=9, mixed=40, seed=0):
    """Each control over its whole range with the others at the start, and random places of all of them."""
    rng = np.random.default_rng(seed)
    all_values = {name: control.positions(num) for name, control in lab.controls.items()}
    found = [{**lab.start, name: value} for name, values in all_values.items() for value in values]
    fine = {name: control.positions(1000) for name, control in lab.controls.items()}
    for _ in range(mixed):
        found.append({name: values[rng.integers(len(values))] for name, values in fine.items()})
    return found
