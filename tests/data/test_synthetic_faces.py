"""Synthetic faces: deterministic, smooth, lit and shaped like a face, and governed by pose and expression."""

import importlib
import types
from pathlib import Path

import numpy as np
import pytest

from vaelib.data import render_faces, synthetic_faces
from vaelib.data.synthetic_faces import NOISE, PERIOD

# The package exports a function of the same name, which hides the module.
module = importlib.import_module("vaelib.data.synthetic_faces")


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces()


def r2(columns, target):
    """R² of a least-squares fit of the target on the columns, their squares and products."""
    n = columns.shape[1]
    products = [columns[:, i] * columns[:, j] for i in range(n) for j in range(i, n)]
    design = np.column_stack([np.ones(len(columns)), columns, *products])
    residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return 1 - residual.var() / target.var()


def variance(frames):
    return frames.var(axis=0).sum()


def test_shapes_types_and_ranges(faces):
    assert faces.frames.shape == (1965, 28, 20) and faces.frames.dtype == np.float32
    assert faces.frames.min() >= 0 and faces.frames.max() <= 1 and np.isfinite(faces.frames).all()
    for factor in (faces.pose, faces.expression):
        assert factor.shape == (1965,) and factor.dtype == np.float32 and np.abs(factor).max() <= 1
    assert str(faces.source) == "Data: synthetic faces, 1,965 frames, drawn by vaelib with seed 0"
    assert not faces.source.stand_in


def test_a_seed_gives_one_video():
    first, again, other = synthetic_faces(40, 3), synthetic_faces(40, 3), synthetic_faces(40, 4)
    for a, b, c in zip(first[:3], again[:3], other[:3], strict=True):
        assert np.array_equal(a, b) and not np.allclose(a, c, atol=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_pose_and_expression_are_uncorrelated_and_cover_the_range(seed):
    from vaelib.data.synthetic_faces import wander

    rng = np.random.default_rng(seed)
    pose, expression = (wander(rng, PERIOD, np.arange(start, 30, 2)) for start in (3, 4))
    assert abs(np.corrcoef(pose, expression)[0, 1]) < 1e-6
    for factor in (pose, expression):
        assert factor.min() < -0.9 and factor.max() > 0.9
        assert np.histogram(factor, 4, (-1, 1))[0].min() > PERIOD / 10


def test_the_video_covers_every_combination(faces):
    counts = np.histogram2d(faces.pose, faces.expression, 3, [[-1, 1], [-1, 1]])[0]
    assert counts.min() > 1965 / 30


def test_consecutive_frames_are_close(faces):
    step = np.sqrt(np.mean(np.diff(faces.frames, axis=0) ** 2))
    rng = np.random.default_rng(0)
    strangers = np.sqrt(np.mean((faces.frames - rng.permutation(faces.frames)) ** 2))
    assert step < 0.25 * strangers
    assert np.abs(np.diff(faces.pose)).max() < 0.15 and np.abs(np.diff(faces.expression)).max() < 0.15


def test_frames_are_the_rendering_of_their_factors_and_a_little_else(faces):
    clean = render_faces(faces.pose, faces.expression)
    difference = np.sqrt(np.mean((faces.frames - clean) ** 2))
    assert NOISE < difference < 0.35 * np.sqrt(np.mean(faces.frames.var(axis=0)))


def test_the_noise_of_the_sensor_is_new_in_every_frame(faces):
    # The second difference in time of white noise has six times its variance; the smooth video's is far smaller.
    second = np.diff(faces.frames, 2, axis=0)
    assert abs(np.median(second.std(axis=0)) / np.sqrt(6) / NOISE - 1) < 0.15


def test_the_two_factors_dominate_light_nod_and_blinks():
    wander = np.linspace(-1, 1, 41)
    of = {
        name: variance(render_faces(**{"pose": 0, "expression": 0, name: wander}))
        for name in ("pose", "expression", "light", "nod")
    }
    nuisance = of["light"] + of["nod"]
    assert of["expression"] > 8 * nuisance and of["pose"] > of["expression"] > 0.2 * of["pose"]


def test_the_factors_can_be_read_from_the_leading_components(faces):
    x = faces.frames.reshape(len(faces.frames), -1)
    x = x - x.mean(axis=0)
    components = x @ np.linalg.eigh(x.T @ x)[1][:, -5:]
    assert r2(components, faces.pose) > 0.98 and r2(components, faces.expression) > 0.98
    shuffled = np.random.default_rng(0).permutation(faces.pose)
    assert r2(components, shuffled) < 0.1


def test_brightness_and_contrast_are_those_of_the_real_video(faces):
    # The real frames: mean 0.606, standard deviation 0.176, quartiles 0.49, 0.60 and 0.74.
    assert abs(faces.frames.mean() - 0.606) < 0.03 and abs(faces.frames.std() - 0.176) < 0.03
    assert np.abs(np.quantile(faces.frames, [0.25, 0.5, 0.75]) - [0.49, 0.60, 0.74]).max() < 0.08


def test_a_turned_head_moves_the_nose_more_than_the_outline_and_narrows_the_far_side():
    left, right = render_faces([-1, 1], 0)
    nostrils = slice(14, 17)
    dark = [(1 - frame[nostrils, 3:17]).clip(0.45) - 0.45 for frame in (left, right)]
    columns = np.arange(3, 17)
    centre = [(d.sum(0) * columns).sum() / d.sum() for d in dark]
    assert centre[1] - centre[0] > 2.5  # pixels, to the right as pose grows


def test_a_smile_bends_the_mouth_up_shows_teeth_and_narrows_the_eyes():
    frown, neutral, smile = render_faces(0, [-1, 0, 1])
    mouth = slice(18, 25)

    def darkest_row(frame, columns):
        return np.argmin(frame[mouth, columns].mean(axis=1))

    corners, middle = [6, 13], [9, 10]
    assert darkest_row(frown, corners) > darkest_row(frown, middle)
    assert darkest_row(smile, corners) < darkest_row(smile, middle)
    # Teeth: a bright row between two dark ones in the middle of the mouth. A closed mouth has none.
    profile = smile[mouth, 9:11].mean(axis=1)
    teeth = 1 + np.argmax(np.minimum(profile[1:-1] - profile[:-2], profile[1:-1] - profile[2:]))
    assert profile[teeth] > neutral[mouth, 9:11].mean(axis=1)[teeth] + 0.1


def test_a_blink_closes_the_eyes_and_changes_nothing_else():
    opened, closed = render_faces(0, 0, blink=[0, 1])
    changed = np.abs(closed - opened)
    assert changed[5:10].max() > 0.1 and changed[12:].max() == 0 and changed[:3].max() == 0


def test_the_light_comes_from_the_side_it_is_put_on():
    from_left, from_right = render_faces(0, 0, light=[-1, 1])
    brighter = from_right - from_left
    assert brighter[12:18, 12:16].mean() > 0.01 and brighter[12:18, 4:8].mean() < -0.01


def test_a_finer_grid_changes_less_than_the_noise():
    source = Path(module.__file__).read_text()
    finer = types.ModuleType("finer")
    exec(source.replace(f"SUPERSAMPLE = {module.SUPERSAMPLE}", "SUPERSAMPLE = 8"), finer.__dict__)
    assert finer.SUPERSAMPLE == 8
    row = np.linspace(-1, 1, 40)
    assert np.abs(render_faces(row, row[::-1]) - finer.render_faces(row, row[::-1])).mean() < NOISE


def test_numbers_and_arrays_mix():
    row = np.linspace(-1, 1, 40)
    together = render_faces(row, 0.5, light=0.2)
    one_by_one = np.concatenate([render_faces(pose, 0.5, light=0.2) for pose in row])
    assert together.shape == (40, 28, 20) and np.allclose(together, one_by_one, atol=1e-6)


@pytest.mark.parametrize("num_frames", [0, -3, 2.5, "many", True, None])
def test_num_frames_must_be_a_positive_whole_number(num_frames):
    with pytest.raises(ValueError, match="num_frames must be a whole number of at least 1; received"):
        synthetic_faces(num_frames)


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_seed_must_be_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0; received"):
        synthetic_faces(5, seed)


@pytest.mark.parametrize("num_frames", [1, 2, 33, PERIOD + 5])
def test_any_length(num_frames):
    assert [len(part) for part in synthetic_faces(num_frames)[:3]] == [num_frames] * 3


@pytest.mark.parametrize(
    "factors, message",
    [
        ({"pose": 1.5}, r"pose must lie in \[-1, 1\]; received 1.5"),
        ({"expression": [0, np.nan]}, r"expression must lie in \[-1, 1\]; received nan"),
        ({"light": -np.inf}, r"light must lie in \[-1, 1\]; received -inf"),
        ({"blink": -0.5}, r"blink must lie in \[0, 1\]; received -0.5"),
        ({"pose": [0, 0], "expression": [0, 0, 0]}, r"pose \(2,\), expression \(3,\)"),
        ({"pose": [[0, 0]]}, r"numbers or arrays of one shape"),
        ({"pose": [], "expression": [0, 0]}, r"numbers or arrays of one shape"),
    ],
)
def test_factors_out_of_range_or_of_different_lengths(factors, message):
    with pytest.raises(ValueError, match=message):
        render_faces(**{"pose": 0, "expression": 0, **factors})
