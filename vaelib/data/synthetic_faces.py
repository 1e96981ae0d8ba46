"""A small grey video of a man's face, drawn by NumPy, whose pose and expression are known.

Each frame is a height map over the image (a head with brow, nose, cheeks, lips and chin), lit by one
lamp, painted with skin, hair, eyes and a mouth, and averaged down from three times the resolution.

Coordinates: `x` runs to the right and `y` down, in units of ten pixels, with the origin in the middle of the
frame. On the head, `lon` is the longitude in radians (0 on the nose); a turned head shows `lon = angle - yaw`.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erf

from vaelib.data.download import Source

HEIGHT, WIDTH = 28, 20
SUPERSAMPLE = 3
PERIOD = 1965  # frames after which pose and expression repeat: the length of the Frey Face video
MAX_YAW = 0.40  # radians, at pose 1
BATCH = 32  # frames drawn at once: the work arrays stay in the processor's cache


class SyntheticFaces(NamedTuple):
    """Synthetic video frames with the factors that made them.

    frames: float32 (n, 28, 20) in [0, 1]. pose, expression: float32 (n,) in [-1, 1]. source: where they came from.
    """

    frames: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    source: Source


def synthetic_faces(num_frames=1965, seed=0):
    pose, expression, light, nod, blink, rng = _path(num_frames, seed)
    frames = render_faces(pose, expression, light=light, nod=nod, blink=blink)
    frames += rng.normal(0.0, 0.010, frames.shape).astype(np.float32)
    np.clip(frames, 0, 1, out=frames)
    return SyntheticFaces(frames, pose, expression, Source("Synthetic faces", "x", False))


def _path(num_frames, seed):
    rng = np.random.default_rng(seed)
    t = 2 * np.pi * np.arange(num_frames) / PERIOD

    def wander(harmonics):
        phase = rng.uniform(0, 2 * np.pi, (len(harmonics), 1))
        wave = np.sin(np.outer(harmonics, t) + phase).sum(0) / np.sqrt(len(harmonics) / 2)
        return erf(wave / np.sqrt(2)).astype(np.float32)

    pose = wander(np.arange(3, 40, 2))
    expression = wander(np.arange(4, 40, 2))
    light = wander(np.arange(1, 6))
    nod = wander(np.arange(5, 50, 5))
    blink = np.zeros(num_frames + 5, np.float32)
    for start in np.flatnonzero(rng.uniform(size=num_frames) < 1 / 70):
        blink[start : start + 5] = np.maximum(blink[start : start + 5], [0.4, 0.9, 1.0, 0.7, 0.3])
    return pose, expression, light, nod, blink[:num_frames], rng


def render_faces(pose, expression, light=0.0, nod=0.0, blink=0.0):
    pose, expression, light, nod, blink = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(v, np.float32)) for v in (pose, expression, light, nod, blink))
    )
    n = len(pose)
    frames = np.empty((n, HEIGHT, WIDTH), np.float32)
    for i in range(0, n, BATCH):
        part = slice(i, i + BATCH)
        frames[part] = _render(*(v[part, None, None] for v in (pose, expression, light, nod, blink)))
    return frames


def _step(d, softness):
    """A soft edge: 0 where d is far below zero, 1 far above."""
    t = np.clip(d / softness * 0.5 + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _blob(x, y, x0, y0, sx, sy):
    return np.exp(-(((x - x0) / sx) ** 2) - ((y - y0) / sy) ** 2)


def _blob2(d2x, y, y0, sy):
    return np.exp(-d2x - ((y - y0) / sy) ** 2)


def _head_width(y):
    ys = [-2.2, -1.5, -1.1, -0.6, -0.1, 0.3, 0.6, 0.85, 1.05, 1.2, 1.30, 1.36]
    ws = [0.05, 0.66, 0.80, 0.86, 0.86, 0.82, 0.74, 0.62, 0.46, 0.30, 0.12, 0.02]
    return np.interp(y, ys, ws).astype(np.float32)


def _render(pose, e, light, nod, blink):
    s = SUPERSAMPLE
    x = ((np.arange(WIDTH * s, dtype=np.float32) + 0.5) / s - WIDTH / 2) / 10
    y = ((np.arange(HEIGHT * s, dtype=np.float32) + 0.5) / s - HEIGHT / 2)[:, None] / 10
    smile = np.maximum(e, 0)
    frown = np.maximum(-e, 0)
    yaw = MAX_YAW * pose
    y = y - 0.03 * nod  # (n, rows, 1)
    x = x - 0.10 * np.sin(yaw)

    jaw = 0.07 * smile
    w = _head_width(y - jaw * _step(y - 0.6, 0.4))
    t = np.clip(x / w, -0.999, 0.999)
    lon = np.arcsin(t) - yaw
    depth = np.sqrt(1 - t * t)
    inside = _step(w - np.abs(x), 0.06)
    side = np.abs(lon)

    # Height map
    nose_lon = lon - 0.28 * yaw  # the nose stands out, so that it moves further than the skin around it
    h = 0.55 * w * depth
    d_eye = (side - 0.48)
    nose_w = 0.10 + 0.14 * np.clip((y + 0.5) / 0.7, 0, 1)
    nose_profile = np.clip((y + 0.55) / 0.72, 0, 1) * _step(0.24 - y, 0.10)
    h = h + (0.05 + 0.17 * nose_profile) * np.exp(-((nose_lon / nose_w) ** 2)) * _step(y + 0.65, 0.2) * _step(0.26 - y, 0.10)
    h += 0.045 * _blob(side, y, 0.22, 0.15, 0.09, 0.09) 
    h -= 0.085 * _blob(side, y, 0.46, -0.50, 0.26, 0.17)  # eye sockets
    h += 0.045 * _blob(side, y, 0.46, -0.49, 0.17, 0.09)  # eyeballs
    h += 0.035 * _blob(side, y, 0.40, -0.78, 0.45, 0.12)  # brow ridge
    h += (0.05 + 0.05 * smile) * _blob(side, y, 0.72, 0.05 - 0.06 * e, 0.26, 0.22)  # cheeks
    mouth_y = 0.58
    wm = 0.40 + 0.10 * e
    m = lon / wm
    m2 = np.minimum(m * m, 2.0)
    line = mouth_y - 0.13 * e * (m2 - 0.35)
    gap = (0.135 * smile) * np.maximum(1 - m2, 0) ** 0.5
    lips = np.exp(-m2 * m2)
    upper = line - gap * 0.45
    lower = line + gap * 0.75
    h += 0.05 * lips * np.exp(-(((y - upper + 0.06) / 0.07) ** 2))
    h += 0.065 * lips * np.exp(-(((y - lower - 0.08) / 0.075) ** 2))
    h -= 0.03 * _blob(lon, y, 0, 0.86 + jaw, 0.30, 0.07)
    h += 0.07 * _blob(lon, y, 0, 1.04 + jaw, 0.34, 0.14)
    fold = side - (0.30 + 0.10 * smile) - 0.38 * (y - 0.20)
    fold = np.exp(-((fold / 0.07) ** 2)) * _blob(0, y, 0, 0.38, 1, 0.24)
    h -= (0.010 + 0.035 * smile) * fold

    # Light
    d = 10 * s
    hx = np.empty_like(h); hx[..., 1:-1] = (h[..., 2:] - h[..., :-2]) * (d / 2); hx[..., 0] = hx[..., 1]; hx[..., -1] = hx[..., -2]
    hy = np.empty_like(h); hy[:, 1:-1] = (h[:, 2:] - h[:, :-2]) * (d / 2); hy[:, 0] = hy[:, 1]; hy[:, -1] = hy[:, -2]
    hx = np.clip(hx, -2.5, 2.5)
    lx, ly, lz = 0.25 + 0.25 * light, -0.45, 0.85
    norm = 1 / np.sqrt(1 + hx * hx + hy * hy)
    lambert = np.maximum((lz - lx * hx - ly * hy) * norm, 0)
    shade = 0.36 + 0.64 * lambert

    # Albedo
    skin = 0.86 - 0.07 * _step(y - 0.35, 0.5) * _step(side - 0.1, 0.5)
    dark = np.zeros_like(h)
    dark += 0.42 * _blob(side, y, 0.42, -0.56, 0.24, 0.13)   # socket shadow
    brow = -0.74 + 0.10 * (side - 0.45) ** 2 * 3 - 0.05 * smile + frown * (0.07 - 0.22 * (side - 0.35))
    dark += 0.62 * np.exp(-(((y - brow) / 0.065) ** 2)) * _step(side - 0.19 + 0.05 * frown, 0.10) * _step(0.80 - side, 0.12)
    # eyes
    open_ = (1 - 0.25 * smile - 0.15 * frown) * (1 - blink)
    a = (side - 0.47) / 0.20
    lid = 0.075 * np.maximum(1 - a * a, 0)
    eye_y = -0.47
    eye = _step(lid * open_ - np.abs(y - eye_y + 0.01), 0.04)
    iris = np.exp(-(((side - 0.47) / 0.085) ** 4))
    dark += 0.55 * np.exp(-(((y - eye_y + lid * open_) / 0.035) ** 2)) * np.exp(-a ** 4)  # upper lid
    dark += 0.15 * np.exp(-(((y - eye_y - lid * open_ - 0.02) / 0.03) ** 2)) * np.exp(-a ** 4)
    # nose shadow and nostrils
    dark += 0.45 * _blob(np.abs(nose_lon), y, 0.11, 0.225, 0.085, 0.045)
    dark += 0.18 * _blob(nose_lon, y, 0.0, 0.29, 0.22, 0.06)
    # mouth
    dark += 0.25 * lips * np.exp(-(((y - upper + 0.05) / 0.055) ** 2))
    dark += 0.20 * lips * np.exp(-(((y - lower - 0.06) / 0.06) ** 2))
    dark += 0.60 * np.exp(-(((y - line) / 0.035) ** 2)) * _step(1.05 - m2, 0.25) * (1 - 0.8 * smile)
    dark += 0.22 * _blob(lon, y, 0, 0.80 + jaw + 0.02 * frown, 0.30, 0.06)
    dark += (0.05 + 0.35 * smile) * fold
    dark += 0.20 * frown * _blob(lon, y, 0, -0.68, 0.07, 0.14)
    dark += 0.12 * frown * _blob(side, y, wm, line + 0.10, 0.10, 0.12)
    face = skin * shade * np.exp(-dark)
    sclera = 0.62 * (1 - 0.88 * iris)
    face += eye * (sclera - face)
    # open mouth: dark, with a row of teeth
    mouth = _step(np.minimum(y - upper, lower - y), 0.035) * _step(gap - 0.02, 0.03)
    teeth = _step(upper + 0.115 - y, 0.05) * _step(0.75 - m2, 0.4)
    inner = 0.16 + 0.66 * teeth
    face += mouth * (inner - face)

    # hair
    strands = 0.5 + 0.5 * np.sin(23 * lon + 9 * y + 2.5 * np.sin(7 * y + 3 * lon))
    hair = 0.10 + 0.13 * strands * (0.4 + lambert)
    hairline = -1.14 + 0.10 * np.cos(5 * lon) - 0.06 * np.sin(3 * lon) + 0.02 * strands
    on_hair = _step(hairline - y, 0.10)
    sideburn = _step(side - 1.02 - 0.14 * np.clip(y + 0.9, 0, 1) - 0.03 * strands, 0.10) * _step(-0.20 - y, 0.15)
    on_hair = np.maximum(on_hair, sideburn)
    face += on_hair * (hair - face)

    # behind
    back = 0.70 + 0.06 * x + 0.05 * y - 0.08 * np.exp(-(((x + 0.75) / 0.2) ** 2))
    neck = _step(0.62 - np.abs(x + 0.06 * pose), 0.08) * _step(y - 0.7, 0.2)
    image = back + neck * (0.42 - 0.1 * np.abs(x) - back)
    shoulder = _step(y - 1.22 - 0.12 * x * x + 0.25 * np.maximum(np.abs(x) - 0.55, 0), 0.08)
    image += shoulder * (0.25 - image)
    # hair at the back of the head, and ears
    cx = -0.30 * np.sin(yaw)
    r = ((x - cx) / 0.90) ** 2 + ((y + 0.75) / 0.85) ** 2
    image += _step(1 - r, 0.15) * (0.16 + 0.06 * strands - image)
    for sgn in (-1.0, 1.0):
        angle = sgn * 1.62 + yaw
        ex = 0.95 * np.sin(angle)
        r = ((x - ex) / 0.10) ** 2 + ((y + 0.20) / 0.28) ** 2
        ear = _step(1 - r, 0.5)
        image += ear * (0.58 - 0.25 * np.exp(-4 * r) - image)
    image += inside * (face - image)
    n = len(image)
    return image.reshape(n, HEIGHT, s, WIDTH, s).mean((2, 4))
