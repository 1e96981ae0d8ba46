"""Frey Face: a man's face in 1,965 frames of video (Brendan Frey; from Sam Roweis's data page)."""

from typing import NamedTuple

import numpy as np

from vaelib.data.download import DataError, Dataset, Expected, Mirror, Source, find, notice
from vaelib.data.synthetic_faces import synthetic_faces


class FreyFace(NamedTuple):
    """Video frames of one face, in their order in time.

    Attributes:
        frames: float32 (1965, 28, 20), pixels in [0, 1].
        pose, expression: None; where synthetic faces stand in, float32 (1965,) in [-1, 1].
        source: where they came from.
    """

    frames: np.ndarray
    pose: np.ndarray | None
    expression: np.ndarray | None
    source: Source


def load_frey_face():
    """Load Frey Face, from VAELIB_DATA, the cache or a download, or else synthetic faces in its place.

    Returns:
        FreyFace: 1,965 frames; pose and expression are None unless synthetic faces stand in.

    Raises:
        DataError: VAELIB_DATA is no folder, or its frey_rawface.mat is not Frey Face.
    """
    arrays, origin, reason = find(DATASET)
    if arrays is not None:
        frames = arrays["frames"].astype(np.float32) / np.float32(255)
        return FreyFace(frames, None, None, Source(DATASET.name, origin, False, f"{len(frames):,} frames"))
    notice(DATASET, "synthetic faces, drawn by vaelib, with known pose and expression", reason)
    faces = synthetic_faces()
    source = Source(faces.source.name, "standing in for Frey Face", True, faces.source.size)
    return FreyFace(faces.frames, faces.pose, faces.expression, source)


def read_mat(paths):
    """Read the frames from frey_rawface.mat, whose array ff holds one frame per column."""
    import scipy.io

    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(paths[0])}  # looked at before anything is unpacked
    except NotImplementedError as error:
        raise DataError("it is a MATLAB 7.3 file (HDF5). Save it in MATLAB with the option -v7.") from error
    if "ff" not in shapes:
        raise DataError("ff is missing.")
    if shapes["ff"] != (560, 1965):
        raise DataError(f"ff must have shape (560, 1965), one frame per column; received {shapes['ff']}.")
    ff = scipy.io.loadmat(paths[0], variable_names=["ff"])["ff"]
    return {"frames": np.ascontiguousarray(ff.T).reshape(-1, 28, 20)}


def write_mat(arrays, path):
    import scipy.io

    scipy.io.savemat(path, {"ff": arrays["frames"].reshape(-1, 560).T})


DATASET = Dataset(
    name="Frey Face",
    file="frey_rawface.mat",
    read=read_mat,
    write=write_mat,
    expected={"frames": Expected((1965, 28, 20), "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78")},
    mirrors=(
        Mirror(("https://cs.nyu.edu/~roweis/data/frey_rawface.mat",), read_mat),
        Mirror(("https://www.cs.nyu.edu/~roweis/data/frey_rawface.mat",), read_mat),
        Mirror(("https://web.archive.org/web/2020id_/https://cs.nyu.edu/~roweis/data/frey_rawface.mat",), read_mat),
    ),
)
