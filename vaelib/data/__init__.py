"""The course's data: MNIST, Frey Face, synthetic faces whose pose and expression are known, and your own pictures."""

from vaelib.data.download import DataError, Source
from vaelib.data.frey_face import FreyFace, load_frey_face
from vaelib.data.images import Images, load_images
from vaelib.data.mnist import Mnist, load_mnist
from vaelib.data.synthetic_faces import SyntheticFaces, render_faces, synthetic_faces

__all__ = [
    "DataError",
    "FreyFace",
    "Images",
    "Mnist",
    "Source",
    "SyntheticFaces",
    "load_frey_face",
    "load_images",
    "load_mnist",
    "render_faces",
    "synthetic_faces",
]
