"""Blocks of steps: every example once per epoch, in one shape, read in place."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vaelib.training.blocks import EXAMPLES_PER_BLOCK, Blocks


@pytest.mark.parametrize("n, batch_size", [(6, 3), (7, 3), (4, 10), (1, 1), (230, 2), (1001, 10)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_example_is_visited_exactly_once_per_epoch(n, batch_size, shuffle):
    blocks = Blocks(np.zeros((n, 1)), batch_size, shuffle)
    orders = []
    for _ in range(2):
        steps = [row for number in blocks.numbers for rows, count in [blocks.rows(int(number))] for row in rows[:count]]
        rest = n % batch_size
        assert [len(step) for step in steps] == [batch_size] * (n // batch_size) + ([rest] if rest else [])
        order = np.concatenate(steps)
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        orders.append(order)
    assert int(blocks.numbers.cardinality()) == len(list(blocks.numbers)) == len(blocks)
    if n > 4:
        assert np.array_equal(*orders) != shuffle
        assert np.array_equal(orders[0], np.arange(n)) != shuffle


def test_a_full_block_has_one_shape_whatever_its_number_of_steps():
    blocks = Blocks(np.zeros((12_307, 1)), 10, True)
    assert {blocks.rows(number)[0].shape for number in range(len(blocks))} == {(EXAMPLES_PER_BLOCK // 10, 10), (1, 7)}


def test_a_block_holds_the_examples_of_its_rows_and_is_read_in_place(rows):
    x = rows(25)
    data = (x, (np.arange(25), None, (x > 0)[:, :1]))  # whole numbers and truth values may stand beside x
    blocks = Blocks(data, 4, True)
    for _ in range(2):  # the second epoch fills the same memory
        for number in range(len(blocks)):
            (tensor, (numbers, nothing, truths)), _ = blocks.load(number)
            first = tensor.shape[1]
            order = numbers[0].numpy()
            np.testing.assert_array_equal(tensor[0], x[order[:first]])
            np.testing.assert_array_equal(truths[0], x[order, :1] > 0)
            assert nothing is None and numbers.dtype == tf.int64 and truths.dtype == tf.bool
    if not tf.config.list_logical_devices("GPU"):
        (seen, _), _ = blocks.load(0)
        before = seen.numpy().copy()
        blocks.load(0)  # another order, in the memory of the tensor that we hold
        assert not np.array_equal(seen, before)


def test_the_order_follows_kerass_seed():
    def order(seed):
        keras.utils.set_random_seed(seed)
        return Blocks(np.zeros((50, 1)), 50, True).rows(0)[0]

    np.testing.assert_array_equal(order(3), order(3))
    assert not np.array_equal(order(3), order(4))


@pytest.mark.slow
def test_many_models_bring_no_warning_of_too_many_traces(models, rows, caplog):
    """TensorFlow counts the traces of one piece of code; each model has programs of its own."""
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for _ in range(7):
            model = models.Toy()
            model.compile("sgd")
            model.fit(rows(4), verbose=0, validation_data=rows(4))
    finally:
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text
