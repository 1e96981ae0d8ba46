"""The numbers that Python and the browser draw alike; that they are the same is tested with the labs in a browser."""

import numpy as np
import pytest
from scipy import stats

from vaelib.widgets import noise

# mulberry32 as published, one number after another, in whole numbers of any size.
MASK = 2**32 - 1


def mulberry32(state, count):
    for _ in range(count):
        state = (state + 0x6D2B79F5) & MASK
        t = ((state ^ (state >> 15)) * (1 | state)) & MASK
        t = ((t + ((t ^ (t >> 7)) * (61 | t) & MASK)) & MASK) ^ t
        yield (t ^ (t >> 14)) / 2**32


@pytest.mark.parametrize("seed", [0, 1, 999, 65_535])
def test_it_is_the_published_generator_and_each_seed_begins_where_the_last_ends(seed):
    state = seed * 65_536 * 0x6D2B79F5 & MASK
    np.testing.assert_array_equal(noise.uniform(seed, 500), list(mulberry32(state, 500)))
    np.testing.assert_array_equal(noise.uniform(seed, 30, start=20), noise.uniform(seed, 50)[20:])


def test_the_draws_are_standard_normal_and_those_of_two_seeds_have_nothing_in_common():
    draws = np.array([noise.normal(seed, 300, 128).ravel() for seed in range(10)])
    assert stats.kstest(draws.ravel(), "norm").pvalue > 0.01
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        error = np.std(draws**power) / np.sqrt(draws.size)
        assert abs(np.mean(draws**power) - moment) < 4 * error
    between = np.corrcoef(draws)[np.triu_indices(10, 1)]
    assert np.abs(between).max() < 4 / np.sqrt(draws.shape[1])
    dimensions = np.corrcoef(draws.reshape(-1, 128).T)[np.triu_indices(128, 1)]
    assert np.abs(dimensions).max() < 5 / np.sqrt(draws.size / 128)  # 8128 pairs


def test_a_seed_that_does_not_exist_or_has_too_few_numbers_is_refused():
    for seed, count in ((-1, 1), (65_536, 1), (0, 65_537)):
        with pytest.raises(ValueError, match=f"received seed {seed}, start 0, count {count}"):
            noise.uniform(seed, count)
