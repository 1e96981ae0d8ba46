"""What a race is about, and what a contender gives back."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

RATE = 1e-3  # of Adam, where no schedule lowers it


@dataclasses.dataclass(frozen=True)
class Setting:
    """One model and one way through the data, the same for all contenders.

    Args:
        batch_size: examples per step.
        units: width of the hidden layers.
        depth: hidden layers of the encoder, and of the decoder.
        filters: of the first of two convolutions, the second has twice as many; 0 takes dense layers.
        latent_dim: latent dimensions.
        num_samples: latent samples per example; from 2 on the loss is the importance-weighted bound.
        num_examples: how many images there are.
        epochs: passes in one call, so that what a call costs once is shared out.
        peak: the learning rate falls along half a cosine from here to 0 over the epochs of a call; 0 takes `RATE`
            throughout.
        spread: vaelib's decoder begins with bends that lie all over the codes, see `dense_decoder`; 0 takes Keras's
            first weights.
    """

    batch_size: int = 100
    units: int = 200
    depth: int = 1
    filters: int = 0
    latent_dim: int = 2
    num_samples: int = 1
    num_examples: int = 60_000
    epochs: int = 3
    peak: float = 0.0
    spread: float = 0.0

    @property
    def maps(self) -> tuple[int, int]:
        """Filters of the two convolutions, from the image on."""
        return self.filters, 2 * self.filters

    def rate(self, done: float) -> float:
        """Return the learning rate after so many epochs of a call."""
        return 0.5 * self.peak * (1 + math.cos(math.pi * done / self.epochs)) if self.peak else RATE


class Contender(NamedTuple):
    """A model that is ready to train.

    Attributes:
        train: trains for the setting's epochs and calls `after_epoch()` after each, where that is given; returns a
            Keras History or the last loss, nats.
        nelbo: the mean loss of images, float32 (n, 28, 28), one draw each, nats.
    """

    train: Callable[..., Any]
    nelbo: Callable[[Any], float]
