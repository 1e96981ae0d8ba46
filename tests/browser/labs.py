"""Every lab of the course, small, by name: the tests that hold for all labs run over them."""

import numpy as np

from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian
from vaelib.widgets.derivation_lab import DerivationLab
from vaelib.widgets.elbo_lab import ElboLab

LABS = {
    "derivation": lambda: DerivationLab(LinearGaussian(1.2, 0.5, 0.8), [2.5]),
    "elbo_linear": lambda: ElboLab(LinearGaussian(1.2, 0.5, 0.8), [2.5]),
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
