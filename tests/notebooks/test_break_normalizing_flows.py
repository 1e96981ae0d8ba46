"""Notebook 15 claims what it shows: break a formula or the data, and the claim that guards it fails."""

import pytest
from breaking import Break, changed, claims_committed, code, failing, function, scaled, training_remembered
from small_runs import CHANGED

from vaelib.model.flows import AffineFlow, PlanarFlow
from vaelib.theory import flows, gaussian
from vaelib.theory.flows import PlanarChain

pytestmark = pytest.mark.slow

NOTEBOOK = "15_normalizing_flows"
SMALL = {**CHANGED[NOTEBOOK], "seed": 0, "train_steps": 120, "num_fitted": 8, "num_test": 120}
FIGURES = ("BendsLab()", "PredictPlace(")
# Each break runs one part of the lesson; these are the cells that the others hang from.
DIGITS = ("vae.fit(x_train",)
LINE = ("normal = divergences.fit_reverse(target)", "far = flows")
FOLDS = ("def reported(f, slope, log_prob)", "best_fold = min(")
FITTED = ("families = {",)
SHAPES = ("shapes = {}", "flows.log_normaliser")
PRIORS = ("def aggregated", 'print("test digits')

ENCODER = (*LINE, *FOLDS, *FITTED, *SHAPES, *PRIORS)
MAPS = (*DIGITS, *LINE, *FOLDS, *SHAPES)
CHAINS = (*DIGITS, *FOLDS, *SHAPES, *PRIORS)
FOLDED = (*DIGITS, *LINE, *SHAPES)
POSTERIORS = (*LINE, *FOLDS, *SHAPES, *PRIORS)
ENERGIES = (*DIGITS, *LINE, *FOLDS, *PRIORS)
AS_PRIOR = (*LINE, *FOLDS, *SHAPES)


def longer(original):
    """A change of a flow's forward: a tenth too much log-determinant."""

    def forward(self, z, params):
        y, log_det = original(self, z, params)
        return y, 1.1 * log_det

    return forward


# What is broken: the part, how, and the claims that catch it.
BROKEN = {
    "the decoder's prior: scaled": (
        ENCODER,
        code(
            "self.rest += gaussian.log_prob_standard_normal(self.z)",
            "self.rest += 0.5 * gaussian.log_prob_standard_normal(self.z)",
        ),
        ["the gap is the KL from q to the posterior"],
    ),
    "log p(x): a nat too low": (
        ENCODER,
        code("sum(axis=1) * self.cell)", "sum(axis=1) * self.cell) - 1.0"),
        ["the ELBO lies below log p(x), for every digit"],
    ),
    "KL: the same for all digits": (
        ENCODER,
        code("gap = np.concatenate([kl_to", "gap = 1 + 0 * np.concatenate([kl_to"),
        ["a few digits pay five times the median"],
    ),
    "the search: a nat off": (
        ENCODER,
        code("best = np.array([fit.mu for fit in found])", "best = np.array([fit.mu + 1.0 for fit in found])"),
        ["no part is negative", "both parts are there"],
    ),
    "the ELBO by quadrature: half the KL": (
        ENCODER,
        function(gaussian, "kl_standard_normal", scaled(0.5)),
        [
            "(2) both parts add up, for each digit",
            "the gap is the KL from q to the posterior",
        ],
    ),
    "the coarse grid: too coarse": (
        ENCODER,
        code("Codes(121, radius", "Codes(25, radius"),
        ["(1) the coarser grid gives the same log p(x)", "(1) all codes, in double precision: the same"],
    ),
    "the far codes: too near": (
        ENCODER,
        code("radius=5.5", "radius=2.5"),
        ["(1) all codes, in double precision: the same"],
    ),
    "networks: a tenth too much log-determinant": (
        MAPS,
        function(AffineFlow, "forward", longer),
        [
            "RealNVP: the log-determinant is that of a numeric Jacobian",
            "IAF: the log-determinant is that of a numeric Jacobian",
            "a chain: log-determinants add up",
        ],
    ),
    "planar: a tenth too much log-determinant": (
        MAPS,
        function(PlanarFlow, "forward", longer),
        ["planar: the log-determinant is that of a numeric Jacobian", "(4) our lines are vaelib's PlanarFlow"],
    ),
    "inverse: of other points": (
        MAPS,
        code("(image(points), numbers)))", "(image(points) + 1e-3, numbers)))"),
        [f"{name}: the inverse undoes it" for name in ("planar", "RealNVP", "IAF")],
    ),
    "(4) without the constraint": (
        MAPS,
        code("slope = np.logaddexp(0, w @ u + np.log(np.e - 1)) - 1  # (4)", "slope = w @ u"),
        ["(4) our lines are vaelib's PlanarFlow", "(4) whatever u is, the order along w is kept"],
    ),
    "IAF: read from the last": (
        MAPS,
        code(
            '"IAF": vaelib.InverseAutoregressiveFlow((16,), ',
            '"IAF": vaelib.InverseAutoregressiveFlow((16,), reverse=True, ',
        ),
        ["IAF: the Jacobian is a triangle"],
    ),
    "RealNVP: the second half stays": (
        MAPS,
        code('"RealNVP": vaelib.CouplingFlow((16,), ', '"RealNVP": vaelib.CouplingFlow((16,), reverse=True, '),
        ["RealNVP: the first half stays"],
    ),
    "the search for chains: too high": (
        CHAINS,
        function(flows, "fit_chain", changed(kl=lambda kl: kl + 0.2)),
        ["one bend: below a fifth of that", "four bends leave under 0.03 nats, and more than nothing"],
    ),
    "the search for chains: too low": (
        CHAINS,
        function(flows, "fit_chain", changed(kl=lambda kl: 0.09 - 0.01 * kl)),
        ["and above what endless steepness would give", "two and four bends come closer than one"],
    ),
    "the posterior: another s": (
        CHAINS,
        code("target = flows.square_posterior(1.0, 0.3)", "target = flows.square_posterior(0.5, 0.4)"),
        ["the best normal, nats", "it pays about log 2", "log p(x) by hand"],
    ),
    "densities: scaled": (
        CHAINS,
        function(PlanarChain, "density", scaled(1.01)),
        [f"{k}: the density adds up to 1" for k in (1, 2, 4)],
    ),
    "the best map: stretched": (
        CHAINS,
        function(flows, "transport", scaled(1.1)),
        ["the best of all maps has no KL"],
    ),
    "the maps: exchanged": (
        CHAINS,
        code("off[2] < off[0]", "off[0] < off[2]"),
        ["with four bends the map is nearer to it than with one"],
    ),
    "far modes: near ones": (
        CHAINS,
        code("far = flows.square_posterior(2.0, 0.5)", "far = flows.square_posterior(1.0, 0.3)"),
        ["x = 2, s = 0.5: the best normal", "a steep one: 0.18 nats"],
    ),
    "far modes: a steep start": (
        CHAINS,
        code("gentle = [0.0, -2.0, 1.4, 1.4, np.log(0.2)]", "gentle = [34.0, 3.0, 0.0, 0.0, np.log(0.27)]"),
        ["a gentle start ends at log 2"],
    ),
    "half-normal: the normal": (
        FOLDED,
        code("half_normal = lambda z: np.log(2) + standard(z)", "half_normal = standard"),
        ["|ε| reports minus log 2"],
    ),
    "reported: too low": (
        FOLDED,
        code("return mass @ (log_q - log_prob(f(eps)))", "return mass @ (log_q - log_prob(f(eps))) - 1.5"),
        [
            "|ε| reports minus log 2",
            "right of -1 every reported KL is above 0",
            "there it is the KL of what is drawn",
            "w · u = -0.9: (5) holds",
            "w · u = -5: (5) holds",
            "w · u = -15: (5) holds",
            "by draws, too: w · u = -15",
        ],
    ),
    "reported: with the constraint": (
        FOLDED,
        code(
            "lambda e, s=s: 1 + s * (1 - np.tanh(steep * e) ** 2),",
            "lambda e, s=s: 1 + max(s, -0.9) * (1 - np.tanh(steep * e) ** 2),",
        ),
        ["a fold reports below zero, down to under -0.3"],
    ),
    "drawn: where nothing folds": (
        FOLDED,
        code("(-0.5, 2.0, -5.0, -15.0, -25.0)])", "(-0.5, 2.0, 0.0, 0.1, 0.2)])"),
        ["in the fold the report lies below it, by over 0.2 nats"],
    ),
    "densities of folds: too large": (
        FOLDED,
        code(
            "return np.sum(q[q > 0] * np.log(q[q > 0] / p[q > 0]))",
            "return np.sum(q[q > 0] * np.log(q[q > 0] / p[q > 0])) - 2",
        ),
        ["what is drawn stays above 0"],
    ),
    "noises: counted twice": (
        FOLDED,
        code("c) != (image[:-1] > c)) for c in z]", "c) != (image[:-1] > c)) * 2 for c in z]"),
        [f"w · u = {s}: the mean weight is E[N]" for s in ("-0.9", "-5", "-15")],
    ),
    "weights: not normalised": (
        FOLDED,
        code("np.log(slope) - standard(eps))", "np.log(slope) - standard(eps) + 0.1)"),
        ["without a fold E[N] is 1"],
    ),
    "PlanarFlow: log q too small": (
        FOLDED,
        code("honest = ops.convert_to_numpy(density_there)", "honest = ops.convert_to_numpy(density_there) - 1.0"),
        ["with (4) the same u and w report a KL above 0"],
    ),
    "answer 2: with the square": (
        FOLDED,
        code("return of_u + (m - of_u) * norm", "return of_u + (m - of_u)"),
        ["w · u = -5, norm one half: about -3", "every norm below 0.9 folds somewhere"],
    ),
    "answer 2: the other way": (
        FOLDED,
        code("return of_u + (m - of_u) * norm", "return of_u - (m - of_u) * norm"),
        ["norm 1: no fold", "a norm of 2 does not fold here"],
    ),
    "answer 4: no fold": (
        FOLDED,
        code("flows.PlanarChain([-s], [c]", "flows.PlanarChain([s], [c]"),
        ["far below zero, and above -log 3"],
    ),
}
# These train: all breaks of a part in one run each, named by what they break.
SLOW = {
    "posteriors: a nat too low": (
        POSTERIORS,
        code("np.concatenate(blocks)) + precise", "np.concatenate(blocks)) + precise - 1.0"),
        [
            *(f"{name}: no KL below 0" for name in ("full normal", "planar flow", "IAF")),
            *(f"{name}: the same KL from its density" for name in ("full normal", "planar flow", "IAF")),
        ],
    ),
    "posteriors: a nat too high, and their densities too large": (
        POSTERIORS,
        Break(
            "high",
            source={
                "np.concatenate(blocks)) + precise": "np.concatenate(blocks)) + precise + 1.0",
                "mass = np.exp(log_q) * fine.cell": "mass = np.exp(log_q) * fine.cell * 1.1",
            },
        ),
        [
            *(
                f"{name}: closer than the best upright normal, over 2 standard errors"
                for name in ("full normal", "planar flow", "IAF")
            ),
            *(f"{name}: its density adds up to 1 over the codes" for name in ("full normal", "planar flow", "IAF")),
        ],
    ),
    "energies: another scale": (
        ENERGIES,
        function(flows, "energy", scaled(0.5)),
        [
            "U2: log Z in closed form",
            "U1: the KL of the best normal",
            "our energies are those of the theory",
        ],
    ),
    "energies: a ring for the wave": (
        ENERGIES,
        code('flows.energy("U2", np.stack([one, two], axis=1))', 'flows.energy("U1", np.stack([one, two], axis=1))'),
        ["U2: ten times as wide, log 10 less free energy"],
    ),
    "energies: log Z too low": (
        ENERGIES,
        function(
            flows, "log_normaliser", lambda original: lambda name, half=4.0, num=801: original(name, half, num) - half
        ),
        [
            "U1: twice the window, the same log Z",
            "U2 to U4: twice the window, over 0.6 more",
            "on the window no KL is below 0",
        ],
    ),
    "energies: no fence, no constraint": (
        ENERGIES,
        Break(
            "no fence",
            source={
                "beyond = ops.relu(ops.abs(z) - 3.9) / 0.05": "beyond = 0.1 * (ops.abs(z) - 7.0)",
                "log_z = flows.log_normaliser(name)": "log_z = flows.log_normaliser(name) + 1.0",
            },
        ),
        ["the fence holds: over 98 % of each q inside", "U1: eight planar layers stay below it"],
    ),
    "priors: a tenth missing": (
        AS_PRIOR,
        code("log_prior.astype(float).reshape(121, 121)", "log_prior.astype(float).reshape(121, 121) - 2.0"),
        [
            *(f"{name}: its density adds up to 1" for name in ("mixture", "VampPrior", "flow")),
            *(f"{name}: closer to the codes than N(0, I), each seed" for name in ("mixture", "VampPrior", "flow")),
        ],
    ),
    "priors: information too high": (
        AS_PRIOR,
        code(
            "own = gaussian.kl_standard_normal(mu[rows], log_var[rows]).mean()",
            "own = 7 + gaussian.kl_standard_normal(mu[rows], log_var[rows]).mean()",
        ),
        [
            *(
                f"(7) {name}: mean KL is information plus KL of q-bar, which the prior moves"
                for name in ("mixture", "VampPrior", "flow")
            ),
            "the information is below log of the number of digits",
        ],
    ),
    "answer 3: the volume forgotten": (
        MAPS,
        code("log_prob(pulled) + log_det", "log_prob(pulled)"),
        ["draw by draw, log q - log p is the same"],
    ),
    "answer 3: the flow is the identity": (
        MAPS,
        code("0.35 * np.random.default_rng(5)", "0.0 * np.random.default_rng(5)"),
        ["and it is not that of the plain normal prior"],
    ),
}


@pytest.fixture(scope="module", autouse=True)
def short(without_xla):
    """Nothing here is worth compiling, and the autoencoder of the digits is trained once."""
    with training_remembered():
        yield


@pytest.mark.parametrize("what", [*BROKEN, *SLOW])
def test_a_broken_formula_is_caught(what):
    without, broken, guards = {**BROKEN, **SLOW}[what]
    assert set(guards) <= failing(NOTEBOOK, broken, without=(*FIGURES, *without), parameters=SMALL)


def test_each_claim_is_guarded():
    guarded = {claim for _, _, guards in [*BROKEN.values(), *SLOW.values()] for claim in guards}
    assert claims_committed(NOTEBOOK) == guarded
