"""Random numbers that Python and the browser draw alike: js/engine/random.js holds the same generator."""

import numpy as np

PER_SEED = 65_536  # numbers that each seed has to itself, before it runs into the next one's
STEP = 0x6D2B79F5


def uniform(seed, count, start=0):
    """Return numbers from the uniform distribution on [0, 1), shape (count,).

    Args:
        seed: a whole number from 0 to 65,535.
        count: how many, start + count at most 65,536. start: how many of the seed's numbers to leave out.
    Raises:
        ValueError: the seed has not so many numbers.
    Source: mulberry32 (Tommy Ettinger, 2017), a mixing function over a counter, in the public domain.
    """
    if not (0 <= seed < PER_SEED and 0 <= start and 0 <= count and start + count <= PER_SEED):
        raise ValueError(
            f"seed must lie from 0 to {PER_SEED - 1}, and start + count be at most {PER_SEED}; "
            f"received seed {seed}, start {start}, count {count}."
        )
    places = np.arange(start + 1, start + count + 1, dtype=np.uint32) + np.uint32(seed) * np.uint32(PER_SEED)
    with np.errstate(over="ignore"):  # all of it is arithmetic modulo 2³²
        a = places * np.uint32(STEP)
        t = (a ^ (a >> 15)) * (a | 1)
        t = (t + (t ^ (t >> 7)) * (t | 61)) ^ t
    return (t ^ (t >> 14)) / 2.0**32


def normal(seed, *shape):
    """Return numbers from N(0, 1) of a shape with an even number of places; seed and errors as `uniform`.

    Source: Box & Muller (1958).
    """
    count = int(np.prod(shape))
    first, second = uniform(seed, count).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log1p(-first))
    return np.stack([radius * np.cos(2 * np.pi * second), radius * np.sin(2 * np.pi * second)], axis=-1).reshape(shape)
