"""Callbacks that save every so many steps do so, though a block of steps is one batch to them."""

import keras
import numpy as np
import pytest

from vaelib.training import blocks as blocks_module
from vaelib.training.blocks import Blocks


class Iterations(keras.callbacks.ModelCheckpoint):
    """Notes after how many steps it would save."""

    def __init__(self, save_freq):
        super().__init__("not used.keras", save_freq=save_freq)
        self.seen = []

    def _save_model(self, epoch, batch, logs):
        self.seen.append(int(self.model.optimizer.iterations.numpy()))


# 23 steps an epoch, of which a block would hold 6 by itself.
@pytest.mark.parametrize("freq", [4, 7, 10])
def test_a_checkpoint_every_so_many_steps_as_in_kerass_own_loop(toy, rows, monkeypatch, freq):
    monkeypatch.setattr(blocks_module, "EXAMPLES_PER_BLOCK", 12)
    for blocks in (True, False):
        toy.optimizer.iterations.assign(0)
        save = Iterations(freq)
        toy.fit(rows(45), batch_size=2, verbose=0, callbacks=[save], blocks=blocks)
        assert save.seen == list(range(freq, 24, freq))


def test_two_of_them_share_the_blocks(rows):
    blocks = Blocks(rows(60), 1, False, every=(12, 18))
    assert blocks.height == 6 and [blocks.num_steps(n) for n in range(len(blocks))] == [6] * 10
    assert [blocks.steps_before(n) for n in range(3)] == [0, 6, 12]
    last = Blocks(rows(7), 2, False)
    assert (len(last), last.steps_before(1), last.num_steps(1)) == (2, 3, 1)


def test_the_file_is_there(toy, rows, tmp_path):
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{batch}.keras", save_freq=3)
    toy.fit(rows(12), batch_size=2, verbose=0, callbacks=[save])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.keras", "6.keras"]
    loaded = keras.saving.load_model(tmp_path / "6.keras")
    for ours, theirs in zip(toy.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
