"""Notebook 09 proves its formulas and its sentences only if each claim fails when what it guards is broken."""

import pytest
from breaking import code, missed, replaced, run_until

from vaelib.model import posteriors
from vaelib.teaching.claims import ClaimError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "09_faces"
QUICK = {"hidden_units": 20, "epochs": 1, "num_seeds": 1, "num_planes": 1, "drawn_epochs": 1, "batch_size": 300}
# Pieces of the notebook's own code: (the piece, what breaks it, the claim that catches it).
SOURCES = {
    "a test of random frames": (
        "nearest(end, np.arange(1800))",
        "nearest(mixed[:165], mixed[165:])",
        "random test frames have nearer twins than the end of the video",
    ),
    "blocks that share frames": (
        "train, validation, test = frames[:1580]",
        "train, validation, test = frames[:1570]",
        "20 frames lie between two blocks",
    ),
    "σ² for σ in the cost": (
        "-norm.logpdf(r, 0, np.exp(dense / 2))",
        "-norm.logpdf(r, 0, np.exp(dense))",
        "(3) residual 0.3: cheapest at log r²",
    ),
    "other weights than the best": (
        "curves = fit(first).history",
        "curves = fit(first).history\nfirst.set_weights(face_vae(seed + 1, train).get_weights())",
        "the best weights are back, up to 6 sd of the noise in z",
    ),
    "the paired differences of other seeds": (
        "np.array(runs[name][block]) - runs[other][block]",
        "np.array(runs[name][block]) - runs[name][block][::-1]",
        "the tails gain on the test block",
    ),
    "training frames for the test block": (
        'np.array(runs[name]["test"]) for name in names',
        'np.array(runs[name]["training"]) for name in names',
        "the reference's ten runs lie around the figure reported",
    ),
    "the better recipe against itself": (
        "np.array(runs[name][block]) - runs[other][block]",
        "np.array(runs[name][block]) - runs[name][block][::-1]",
        "the best recipe is ahead of the reference",
    ),
    "the reference taken for the best": (
        "of_reference, of_best = tests",
        "of_best, of_reference = tests",
        "and its median below −600 nats",
    ),
    "rows for columns in the slope": (
        "slope = np.gradient(mean, axis=1)",
        "slope = np.gradient(mean, axis=0)",
        "on drawn faces, of known pose, the measure follows it",
    ),
    "a direction that leads elsewhere": (
        "humour = direction_between(codes[sober], codes[smiling])",
        "humour = direction_between(codes[:5], codes[-5:])",
        "the pad's slider runs from mean to mean",
    ),
    "an axis that is not at a right angle": (
        "rest = codes - np.outer(codes @ pose, pose)",
        "rest = codes",
        "pose and across stand at a right angle",
    ),
    "a turn that stretches": (
        "turn = np.array([[np.cos(angle), -np.sin(angle)]",
        "turn = np.array([[1.1 * np.cos(angle), -np.sin(angle)]",
        "(4) turned codes are as likely as before",
    ),
    "codes that are not turned back": (
        "return z @ turn, mu @ turn.T, best, z",
        "return z, mu @ turn.T, best, z",
        "after a quarter turn the ELBO is back",
    ),
    "variances that do not turn": (
        "best = -np.log(np.exp(-log_var) @ (turn**2).T)",
        "best = log_var",
        "after a quarter turn the ELBO is back",
    ),
    "held-out segments among the frames to learn from": (
        "learn, held_out = segments(len(drawn.frames))",
        "learn, held_out = segments(len(drawn.frames), gap=0)",
        "no frame that is learned from lies near one held out",
    ),
}


# These do not hide each other, and share a run: the model is trained once for all four.
TOGETHER = (
    "rows for columns in the slope",
    "a turn that stretches",
    "a direction that leads elsewhere",
    "an axis that is not at a right angle",
)


def test_what_is_broken_together_breaks_each_claim():
    breaks = [SOURCES[name] for name in TOGETHER]
    guarded = [(code(old, new), [claim]) for old, new, claim in breaks]
    assert not missed(NOTEBOOK, guarded, parameters=QUICK, last=breaks[-1][2])


@pytest.mark.parametrize("broken", [name for name in SOURCES if name not in TOGETHER])
def test_a_broken_cell_breaks_its_claim(broken):
    old, new, claim = SOURCES[broken]
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, parameters=QUICK, source={old: new})


@pytest.mark.parametrize("claim", ["kept: sober and smiling over two spreads apart", "from another seed less than one"])
def test_planes_that_do_not_differ_are_noticed(claim):
    breaks = {
        "planes.append(apart(vae.encode(frames)))": "planes.append(1.5)",
        "here = same and not faces.source.stand_in and num_planes >= 4": "here = True",
    }
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, parameters=QUICK, source=breaks)


def test_a_broken_density_breaks_its_claim():
    claim = "(2) is SciPy's normal, summed over pixels"
    without_pi = replaced(posteriors, "log_prob_diagonal", lambda f: lambda x, m, v: f(x, m, v) + 0.9)
    with without_pi, pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, parameters=QUICK)
