"""A small grey video of a man's face, drawn by NumPy, whose pose and expression are known.

Each frame is a height map of a head, lit by one lamp, painted, and averaged down from a finer grid.

Coordinates: `x` runs to the right and `y` down, in units of the head's size, with x = 0 in the middle of the frame.
`lon` is the longitude on the head in radians, 0 on the nose; `side` is its absolute value.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erf

from vaelib import checks
from vaelib.data.download import Source

HEIGHT, WIDTH = 28, 20
SUPERSAMPLE = 2  # every edge below is softer than a pixel, so that two samples each way are enough
SCALE = 11.7  # pixels per unit of length
EYE_ROW, EYE_Y = 7.3, -0.47
MAX_YAW = 0.22  # radians, at pose 1
PERIOD = 1965  # frames after which pose and expression repeat: the length of the Frey Face video
NOISE = 0.01  # standard deviation of the sensor's noise
BATCH = 32  # frames drawn at once, so that the work arrays stay in the processor's cache


class SyntheticFaces(NamedTuple):
    """Synthetic video frames and the factors that made them.

    Attributes:
        frames: float32 (n, 28, 20), pixels in [0, 1].
        pose: float32 (n,) in [-1, 1], from looking left in the picture to looking right.
        expression: float32 (n,) in [-1, 1], from a frown to a smile that shows teeth.
        source: where the frames came from.
    """

    frames: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    source: Source


def synthetic_faces(num_frames=1965, seed=0):
    """Draw a video of a face whose pose and expression wander over [-1, 1], uncorrelated over 1,965 frames.

    Light, a slight nod, blinks and the sensor's noise vary too, much less.

    Args:
        num_frames: number of frames, at least 1.
        seed: whole number, at least 0; the same seed gives the same video.

    Returns:
        SyntheticFaces: the frames with their pose, expression and source.

    Raises:
        ValueError: num_frames or seed out of range.
    """
    num_frames = checks.positive_int("num_frames", num_frames)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0; received {seed!r}.")
    rng = np.random.default_rng(seed)
    # Odd harmonics for pose, even ones for expression: orthogonal over the period, also after the squash to [-1, 1].
    pose = wander(rng, num_frames, np.arange(3, 30, 2))
    expression = wander(rng, num_frames, np.arange(4, 30, 2))
    light = wander(rng, num_frames, np.arange(1, 6))
    nod = wander(rng, num_frames, np.arange(5, 50, 5))
    frames = render_faces(pose, expression, light=light, nod=nod, blink=_blinks(rng, num_frames))
    frames += rng.normal(0, NOISE, frames.shape).astype(np.float32)
    np.clip(frames, 0, 1, out=frames)
    source = Source("synthetic faces", f"drawn by vaelib with seed {seed}", False, f"{num_frames:,} frames")
    return SyntheticFaces(frames, pose, expression, source)


def render_faces(pose, expression, light=0.0, nod=0.0, blink=0.0):
    """Draw faces with the given factors, without noise.

    Args:
        pose, expression: numbers or arrays of shape (n,), in [-1, 1].
        light: where the lamp stands, -1 to 1 from left to right of its place.
        nod: -1 to 1, from head up to head down, a third of a pixel.
        blink: 0 (eyes open) to 1 (closed).

    Returns:
        float32 (n, 28, 20), pixels in [0, 1]. Numbers and arrays may be mixed; five numbers give n = 1.

    Raises:
        ValueError: a factor out of its range or not finite, or arrays of different lengths.
    """
    factors = {"pose": pose, "expression": expression, "light": light, "nod": nod, "blink": blink}
    for name, values in factors.items():
        factors[name] = values = np.atleast_1d(np.asarray(values, np.float32))
        low = 0 if name == "blink" else -1
        if not np.all((values >= low) & (values <= 1)):
            wrong = values[~((values >= low) & (values <= 1))][0]
            raise ValueError(f"{name} must lie in [{low}, 1]; received {wrong}. Scale or clip it.")
    lengths = {len(values) for values in factors.values()} - {1}
    if len(lengths) > 1 or any(values.ndim > 1 for values in factors.values()):
        shapes = ", ".join(f"{name} {values.shape}" for name, values in factors.items())
        raise ValueError(f"factors must be numbers or arrays of one shape (n,); received {shapes}.")
    factors = np.stack(np.broadcast_arrays(*factors.values()))
    frames = np.empty((factors.shape[1], HEIGHT, WIDTH), np.float32)
    for i in range(0, len(frames), BATCH):
        part = slice(i, i + BATCH)
        frames[part] = _render(*factors[:, part, None, None])
    return np.clip(frames, 0, 1, out=frames)


def wander(rng, num_frames, harmonics):
    """A smooth path in (-1, 1), about evenly spread: a sum of waves is nearly normal, its CDF nearly uniform."""
    angle = 2 * np.pi / PERIOD * np.outer(harmonics, np.arange(num_frames))
    waves = np.sin(angle + rng.uniform(0, 2 * np.pi, (len(harmonics), 1)))
    return erf(waves.sum(0) / np.sqrt(len(harmonics))).astype(np.float32)


def _blinks(rng, num_frames):
    """How far the eyes are closed in each frame: about one blink of five frames in seventy."""
    blink = np.zeros(num_frames + 5, np.float32)
    for start in np.flatnonzero(rng.uniform(size=num_frames) < 1 / 70):
        blink[start : start + 5] = np.maximum(blink[start : start + 5], [0.4, 0.9, 1.0, 0.7, 0.3])
    return blink[:num_frames]


def _step(distance, softness):
    """A soft edge: 0 where distance is below -softness, 1 above softness."""
    t = np.clip(distance * (0.5 / softness) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _bell(d):
    return np.exp(-d * d)


def _blob(x, y, x0, y0, width, height):
    """A soft ellipse: 1 at (x0, y0)."""
    return _bell((x - x0) / width) * _bell((y - y0) / height)


# Half the width of the head at each height.
OUTLINE_Y = [-2.2, -1.5, -1.1, -0.6, -0.1, 0.3, 0.6, 0.85, 1.05, 1.2, 1.31, 1.38]
OUTLINE_WIDTH = [0.05, 0.70, 0.79, 0.83, 0.82, 0.79, 0.74, 0.67, 0.55, 0.40, 0.20, 0.02]

# The rows in which each part of the face can lie: only these are computed for it.
EYES = slice(2 * SUPERSAMPLE, 15 * SUPERSAMPLE)
CHEEKS = slice(8 * SUPERSAMPLE, 23 * SUPERSAMPLE)
NOSE = slice(12 * SUPERSAMPLE, 20 * SUPERSAMPLE)
MOUTH = slice(15 * SUPERSAMPLE, 28 * SUPERSAMPLE)


class _Face:
    """Everything the parts of one batch of faces share; arrays broadcast to (n, rows, columns)."""

    def __init__(self, pose, expression, light, nod, blink):
        column = (np.arange(WIDTH * SUPERSAMPLE, dtype=np.float32) + 0.5) / SUPERSAMPLE
        row = (np.arange(HEIGHT * SUPERSAMPLE, dtype=np.float32)[:, None] + 0.5) / SUPERSAMPLE
        self.expression, self.light, self.blink = expression, light, blink
        self.smile, self.frown = np.maximum(expression, 0), np.maximum(-expression, 0)
        self.yaw = MAX_YAW * pose
        self.x = (column - WIDTH / 2) / SCALE - 0.02 * pose
        self.y = (row - EYE_ROW) / SCALE + EYE_Y - 0.012 * nod
        self.jaw = 0.10 * expression  # how far the chin moves down
        stretched = self.y - self.jaw * _step(self.y - 0.6, 0.4)
        self.width = np.interp(stretched, OUTLINE_Y, OUTLINE_WIDTH).astype(np.float32)
        across = np.clip(self.x / self.width, -0.999, 0.999)
        self.lon = np.arcsin(across) - self.yaw
        self.side = np.abs(self.lon)
        self.nose_lon = self.lon - 0.28 * self.yaw  # the nose stands out and moves further than the skin around it
        self.roundness = 0.65 * self.width * np.sqrt(1 - across * across)

        # The mouth: m2 = (lon / half width)², and the heights of its line and of the lips' inner edges.
        m = self.lon[:, MOUTH] / (0.47 + 0.02 * expression + 0.13 * self.smile)
        self.m2 = m * m
        self.mouth_y = 0.69 - (0.20 * expression - 0.02) * (np.minimum(self.m2, 1.6) - 0.40)
        gap = 0.27 * self.smile * np.sqrt(np.maximum(1 - self.m2, 0))
        self.upper_lip, self.lower_lip = self.mouth_y - 0.45 * gap, self.mouth_y + 0.55 * gap
        self.lips = np.exp(-self.m2)


def _render(pose, expression, light, nod, blink):
    face = _Face(pose, expression, light, nod, blink)
    lit = _lit(face)
    skin = _skin(face) * (0.30 + 0.70 * lit) * np.exp(-_dark(face))
    _paint_eyes_and_teeth(face, skin)
    strands = np.sin(21 * face.lon + 8 * face.y + 2.5 * np.sin(6 * face.y))
    on_hair = _hair(face, strands)
    head = skin + on_hair * ((0.20 + 0.05 * strands) * (0.55 + 0.6 * lit) - skin)
    image = _behind(face, strands, pose)
    image += _step(face.width - np.abs(face.x), 0.06) * (head - image)
    return image.reshape(len(image), HEIGHT, SUPERSAMPLE, WIDTH, SUPERSAMPLE).mean((2, 4))


def _height(face):
    """Height of the head towards the camera."""
    y, side = face.y, face.side
    rise = np.clip((y + 0.55) / 0.75, 0, 1)  # along the nose, from its root down to the tip
    ridge = (0.06 + 0.17 * rise * rise) * _step(y + 0.60, 0.25) * _step(0.25 - y, 0.13)
    h = face.roundness + ridge * _bell(face.nose_lon / (0.16 + 0.09 * rise))
    cheek_y = 0.06 - 0.06 * face.expression
    h[:, CHEEKS] += (0.06 + 0.09 * face.smile) * _blob(side[:, CHEEKS], y[:, CHEEKS], 0.62, cheek_y, 0.26, 0.22)
    y, side = face.y[:, EYES], face.side[:, EYES]
    h[:, EYES] += 0.04 * _blob(side, y, 0.42, -0.76, 0.42, 0.12)  # brow ridge
    h[:, EYES] -= 0.09 * _blob(side, y, 0.45, -0.50, 0.24, 0.16)  # sockets
    h[:, EYES] += 0.02 * _blob(side, y, 0.47, -0.45, 0.15, 0.08)  # eyeballs
    y, lon = face.y[:, MOUTH], face.lon[:, MOUTH]
    h[:, MOUTH] += 0.040 * face.lips * _bell((y - face.upper_lip + 0.06) / 0.08)
    h[:, MOUTH] += 0.055 * face.lips * _bell((y - face.lower_lip - 0.08) / 0.08)
    h[:, MOUTH] += 0.06 * _blob(lon, y, 0, 1.08 + face.jaw, 0.36, 0.14)  # chin
    return h


def _lit(face):
    """Lambert's law: the cosine between the surface's normal (-dh/dx, -dh/dy, 1) and the light."""
    h = _height(face)
    spacing = np.float32(1 / (SCALE * SUPERSAMPLE))
    slope_y, slope_x = (np.clip(slope, -2.5, 2.5) for slope in np.gradient(h, spacing, axis=(1, 2)))
    light_x, light_y, light_z = 0.36 + 0.06 * face.light, -0.42, 0.82
    facing = light_z - light_x * slope_x - light_y * slope_y
    return np.maximum(facing / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y), 0)


def _skin(face):
    """Brightness of bare skin: slightly uneven, darker where the beard grows."""
    uneven = np.sin(9 * face.lon + 5 * face.y) * np.sin(7 * face.y - 4 * face.lon + 1)
    return 0.94 + 0.02 * uneven - 0.10 * _step(face.y - 0.45, 0.4)


def _dark(face):
    """Pigment and shadow, in powers of e: layers add up."""
    smile, frown, expression = face.smile, face.frown, face.expression
    dark = np.zeros_like(face.lon)

    y, side, lon = face.y[:, EYES], face.side[:, EYES], face.lon[:, EYES]
    lid, corner = _eyelids(face)
    brow_y = -0.68 + 0.35 * (side - 0.42) ** 2 + 0.02 * lon - 0.09 * expression - 0.18 * frown * (side - 0.40)
    ink = (0.70 - 0.20 * expression) * _blob(side, y, 0.45, -0.51, 0.25, 0.14)  # socket
    ink += 0.25 * _blob(side, y, 0.22, -0.48, 0.10, 0.16)  # beside the nose
    ink += 0.60 * _bell((y - brow_y) / 0.085) * _step(side - 0.20 + 0.07 * frown, 0.10) * _step(0.76 - side, 0.20)
    ink += corner * (0.55 * _bell((y + 0.46 + lid) / 0.04) + 0.20 * _bell((y + 0.44 - lid) / 0.035))  # lashes
    ink += 0.40 * frown * _blob(lon, y, 0, -0.62, 0.13, 0.18)  # the crease between the brows
    ink += 0.30 * smile * _blob(side, y, 0.52, -0.30, 0.24, 0.06)  # the crease below the eyes
    dark[:, EYES] += ink

    y, lon = face.y[:, NOSE], face.nose_lon[:, NOSE]
    dark[:, NOSE] += 0.45 * _blob(np.abs(lon), y, 0.11, 0.235, 0.075, 0.05)  # nostrils
    dark[:, NOSE] += 0.22 * _blob(lon, y, 0, 0.27, 0.15, 0.07)  # the nose's shadow

    y = face.y[:, CHEEKS]
    fold = face.side[:, CHEEKS] - (0.40 + 0.06 * smile) - 0.65 * (y - 0.30)  # from the nose to the mouth's corner
    dark[:, CHEEKS] += (0.10 + 0.60 * smile) * _bell(fold / 0.11) * _bell((y - 0.36) / 0.19)

    y, lon = face.y[:, MOUTH], face.lon[:, MOUTH]
    ink = face.lips * 0.32 * _bell((y - face.upper_lip + 0.04) / 0.07)
    ink += face.lips * 0.22 * _bell((y - face.lower_lip - 0.06) / 0.07)
    outside = np.maximum(np.maximum(face.upper_lip - y, y - face.lower_lip), 0)
    ink += (0.70 + 0.30 * smile) * _bell(outside / 0.055) * _step(1.0 - face.m2, 0.7)  # the line of the mouth
    below = 0.92 + face.jaw + 0.02 * frown
    ink += (0.40 + 0.20 * frown - 0.15 * smile) * _blob(lon, y, 0, below, 0.30, 0.07)
    dark[:, MOUTH] += ink
    return dark


def _eyelids(face):
    """Half the height of the eye's opening, and a mask: 1 in the middle of the eye, 0 beyond its corners."""
    a2 = ((face.side[:, EYES] - 0.47) / 0.23) ** 2
    opened = (1 - 0.55 * face.smile - 0.10 * face.frown) * (1 - face.blink)
    return 0.07 * np.maximum(1 - a2, 0) * opened, np.exp(-a2 * a2)


def _paint_eyes_and_teeth(face, skin):
    y, side = face.y[:, EYES], face.side[:, EYES]
    lid, _ = _eyelids(face)
    iris = _bell((side - 0.48) / 0.09)
    skin[:, EYES] += _step(lid - np.abs(y + 0.46), 0.045) * (0.50 - 0.42 * iris - skin[:, EYES])
    y = face.y[:, MOUTH]
    opening = _step(np.minimum(y - face.upper_lip, face.lower_lip - y) - 0.01, 0.04)
    opening *= _step(face.lower_lip - face.upper_lip - 0.03, 0.03)
    teeth = _step(face.upper_lip + 0.17 - y, 0.05) * _step(0.75 - face.m2, 0.4)
    skin[:, MOUTH] += opening * (0.22 + 0.64 * teeth - skin[:, MOUTH])


def _hair(face, strands):
    """Where hair covers the skin: above the hairline and in the sideburns."""
    side = face.side
    hairline = -1.16 - 0.10 * _bell((side - 0.62) / 0.25) + 0.30 * np.maximum(side - 0.75, 0) + 0.02 * strands
    sideburn = _step(side - 1.16 - 0.02 * strands, 0.12) * _step(-0.15 - face.y, 0.2)
    return np.maximum(_step(hairline - face.y, 0.10), sideburn)


def _behind(face, strands, pose):
    x, y = face.x, face.y
    wall = 0.72 + 0.08 * x - 0.10 * _bell((x + 0.85) / 0.2)
    image = wall + _step(y - 1.05 - 0.25 * np.maximum(0.9 - np.abs(x), 0), 0.08) * (0.30 - wall)
    neck = _step(0.62 - np.abs(x + 0.06 * pose), 0.08) * _step(y - 0.6, 0.2)
    image += neck * (0.46 - 0.1 * np.abs(x) - image)
    back = ((x + 0.30 * np.sin(face.yaw)) / 0.90) ** 2 + ((y + 0.85) / 0.85) ** 2
    image += _step(1 - back, 0.15) * (0.17 + 0.05 * strands - image)
    for ear_lon in (-1.62, 1.62):
        ear_x = 0.94 * np.sin(ear_lon + face.yaw)
        r2 = ((x - ear_x) / 0.10) ** 2 + ((y + 0.22) / 0.30) ** 2
        image += _step(1 - r2, 0.5) * (0.60 - 0.25 * np.exp(-4 * r2) - image)
    return image
