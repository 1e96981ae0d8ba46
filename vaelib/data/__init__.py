"""The course's data: MNIST, Frey Face, and synthetic faces whose pose and expression are known."""

from vaelib.data.download import DataError, Source
from vaelib.data.frey_face import FreyFace, load_frey_face
from vaelib.data.mnist import Mnist, load_mnist
from vaelib.data.synthetic_faces import SyntheticFaces, render_faces, synthetic_faces

__all__ = [
    "DataError",
    "FreyFace",
    "Mnist",
    "Source",
    "SyntheticFaces",
    "load_frey_face",
    "load_mnist",
    "render_faces",
    "synthetic_faces",
]
