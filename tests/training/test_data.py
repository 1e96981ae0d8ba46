"""Whatever data come in, from whichever library and in whatever batches: they are converted and checked."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from vaelib.training.data import DataCheck


class Batches(keras.utils.PyDataset):
    """A PyDataset of the given batches."""

    def __init__(self, batches, **options):
        super().__init__(**options)
        self.batches, self.ends = batches, 0

    def __getitem__(self, index):
        return self.batches[index]

    def __len__(self):
        return len(self.batches)

    def on_epoch_end(self):
        self.ends += 1


class Frame:
    """What a table of pandas looks like from outside."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


class Torch(Frame):
    """A torch tensor in a graph on a GPU: NumPy can read it only after two calls."""

    def __init__(self, values, ready=0):
        super().__init__(values)
        self.ready = ready

    def detach(self):
        return Torch(self.values, 1)

    def cpu(self):
        return Torch(self.values, self.ready + 1)

    def __array__(self, dtype=None, copy=None):
        if self.ready < 2:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return super().__array__(dtype)


KINDS = {
    "list": lambda x: x.tolist(),
    "64 bits": lambda x: x.astype("float64"),
    "TensorFlow tensor": tf.constant,
    "DataFrame": Frame,
    "torch tensor": Torch,
}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_any_library_train_as_numpys(start, rows, kind):
    x, y, options = rows(7), rows(7, 1), dict(batch_size=3, shuffle=False, verbose=0)
    expected = start.again().fit(x, y, validation_data=(x[:3], y[:3]), **options).history
    convert = KINDS[kind]
    x, y = convert(x), convert(y)
    got = start.again().fit(x, y, validation_data=(convert(rows(7)[:3]), convert(rows(7, 1)[:3])), **options).history
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-5)


SOURCES = {
    "tf.data.Dataset": lambda parts, n: tf.data.Dataset.from_tensor_slices(parts).batch(n),
    "PyDataset": lambda parts, n: Batches(list(cut(parts, n))),
    "PyDataset with workers": lambda parts, n: Batches(list(cut(parts, n)), workers=2),
    "generator": lambda parts, n: (batch for batch in cut(parts, n)),
}


def cut(parts, n):
    """Yield batches of n examples of an array, or of several."""
    several = isinstance(parts, tuple)
    for i in range(0, len(parts[0] if several else parts), n):
        yield tuple(part[i : i + n] for part in parts) if several else parts[i : i + n]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # a generator's only epoch, says Keras
@pytest.mark.parametrize("num_parts", [1, 2, 3])
@pytest.mark.parametrize("kind", SOURCES)
def test_batches_train_as_arrays(start, rows, kind, num_parts):
    parts = (rows(8).astype("float64"), rows(8, 1), np.linspace(0, 2, 8))[:num_parts]
    data = parts if num_parts > 1 else parts[0]
    epochs = 1 if kind == "generator" else 2  # it can be read only once
    x, y, weights = (*parts, None, None)[:3]
    expected = start.again().fit(
        x, y, sample_weight=weights, batch_size=4, shuffle=False, epochs=epochs, verbose=0, validation_data=data
    )
    source = SOURCES[kind](data, 4)
    held = SOURCES["tf.data.Dataset" if kind == "generator" else kind](data, 4)
    got = start.again().fit(source, epochs=epochs, verbose=0, validation_data=held)
    for key, values in expected.history.items():
        np.testing.assert_allclose(got.history[key], values, rtol=1e-5)
    if kind == "PyDataset":
        assert source.ends >= 2  # Keras tells it of each epoch
    assert start.model.evaluate(SOURCES[kind](data, 4))[0] == pytest.approx(
        start.model.evaluate(x, y, sample_weight=weights)[0], rel=1e-5
    )


def bad(rows, where):
    """Eight rows in batches of two; a batch of those holds NaN."""
    x = rows(8)
    x[2 * where] = np.nan
    return x


@pytest.mark.parametrize("where", [0, 2], ids=["first batch", "third batch"])
@pytest.mark.parametrize("kind", SOURCES)
def test_every_batch_is_checked(toy, rows, kind, where):
    message = "a batch of x must be finite"
    x = bad(rows, where)
    for use in (toy.fit, toy.evaluate):
        with pytest.raises(ValueError, match=f"^{message}"):
            use(SOURCES[kind](x, 2), verbose=0)
    with pytest.raises(ValueError, match="^y in a batch of x must be finite; example 0"):
        toy.fit(SOURCES[kind]((rows(8), x), 2), verbose=0)
    if kind != "generator":
        with pytest.raises(ValueError, match="^a batch of validation_data must be finite"):
            toy.fit(rows(4), validation_data=SOURCES[kind](x, 2), verbose=0)
    assert toy._held == {}
    assert np.isfinite(toy.evaluate(rows(4))[0])


def test_a_dataset_is_refused_before_anything_is_trained(start, rows):
    toy = start.again()
    with pytest.raises(ValueError, match="a batch of x must hold floating-point numbers"):
        toy.fit(tf.data.Dataset.from_tensors(np.full((4, 3), 255)), verbose=0)
    for weight, expected in zip(toy.get_weights(), start.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((4, 64), "float32"), r"x must have shape \(n, 3\); received \(4, 64\)"),
        (np.zeros((4, 3), int), "x must hold floating-point numbers"),
        (np.ma.masked_greater(np.ones((4, 3)), 0), "x has masked entries"),
        (None, "x must be an array or a source of batches; received None"),
    ],
    ids=["shape", "whole numbers", "mask", "None"],
)
def test_bad_data_are_refused_before_anything_is_trained(start, rows, x, message):
    toy = start.again()
    for use in (toy.fit, toy.evaluate):
        with pytest.raises(ValueError, match=message):
            use(x, verbose=0)
    if x is not None:
        for held_out, name in [(x, "validation_data"), ((x,), r"validation_data\[0\]")]:
            with pytest.raises(ValueError, match=message.replace("x ", f"{name} ", 1)):
                toy.fit(rows(2), validation_data=held_out, verbose=0)
    for weight, expected in zip(toy.get_weights(), start.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert toy._held == {}


def test_x_and_y_in_one_tuple_are_refused_with_the_way_out(toy, rows):
    for use in (toy.fit, toy.evaluate):
        with pytest.raises(
            ValueError, match=r"x must be one array; received a tuple of 2\. Pass y beside it: fit\(x, y\)"
        ):
            use((rows(4), np.zeros(4)), verbose=0)


@pytest.mark.parametrize(
    "y, weights, message",
    [
        (np.zeros((3, 3)), None, "y must have one row per example; received 3 for 4 examples"),
        ((np.zeros(4), np.full(4, np.nan)), None, r"y\[1\] must be finite; example 0"),
        ({"label": np.array(["a"] * 4)}, None, r"y\['label'\] must hold numbers; received dtype <U1"),
        (None, np.ones(3), r"sample_weight must have shape \(4,\), one weight per example; received \(3,\)"),
        (None, np.ones((4, 3)), r"sample_weight must have shape \(4,\)"),
        (None, np.array([1, 1, np.inf, 1]), "sample_weight must be finite; example 2"),
    ],
)
def test_targets_and_weights_are_checked(toy, rows, y, weights, message):
    for use in (toy.fit, toy.evaluate):
        with pytest.raises(ValueError, match=message):
            use(rows(4), y, sample_weight=weights, verbose=0)
    with pytest.raises(
        ValueError, match=message.replace("sample_weight", r"validation_data\[2\]").replace("y", ".*", 1)
    ):
        toy.fit(rows(4), validation_data=(rows(4), y, weights), verbose=0)


def test_targets_may_be_nested(models, rows):
    """A tuple of targets arrives as it was given, gathered with the same shuffled rows."""
    model, seen = models.Toy(), []
    terms = model.terms
    model.terms = lambda x, y=None: seen.append(y) or terms(x, y["both"][0])
    model.compile("sgd")
    x = rows(6)
    y = {"both": (x, np.arange(6)), "none": x > 0}
    history = model.fit(x, y, batch_size=4, verbose=0, validation_data=(x, y)).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(x, y)[0], rel=1e-5)
    whole = "int32" if keras.backend.backend() == "jax" else "int64"  # JAX has none of 64 bits until it is asked
    dtypes = {keras.backend.standardize_dtype(part.dtype) for part in keras.tree.flatten(seen[0])}
    assert dtypes == {"float32", whole, "bool"}
    # The target is x itself, so a shuffle that tore the two apart would be seen.
    assert model.evaluate(x, y)[0] == pytest.approx(
        model.evaluate(x, {**y, "both": (x, np.zeros(6, int))})[0], rel=1e-5
    )


def test_batches_bring_their_own_targets(toy, rows):
    with pytest.raises(ValueError, match="x brings batches, so y and sample_weight must come with them"):
        toy.fit(tf.data.Dataset.from_tensors(rows(4)), rows(4))


def test_validation_data_of_four(toy, rows):
    with pytest.raises(ValueError, match=r"x, \(x, y\) or \(x, y, sample_weight\); received a tuple of 4"):
        toy.fit(rows(4), validation_data=(rows(4),) * 4)


def test_an_error_of_the_data_pipeline_itself_is_left_alone():
    check = DataCheck(lambda x, name: x)
    with pytest.raises(ZeroDivisionError), check.errors():
        raise ZeroDivisionError
    source = check(x for x in ())
    assert isinstance(source.x, types.GeneratorType) and not source.in_memory


class Loader:
    """What a torch DataLoader looks like from outside: batches one after the other, as often as asked, and a length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


def test_what_brings_batches_in_its_own_order_is_checked_too(start, rows):
    x = rows(8)
    expected = start.again().fit(x, batch_size=2, epochs=2, verbose=0, shuffle=False).history
    loader = Loader([[Torch(part)] for part in np.split(x, 4)])
    got = start.again().fit(loader, epochs=2, verbose=0).history
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-5)
    x[5] = np.nan
    with pytest.raises(ValueError, match="^a batch of x must be finite"):
        start.again().fit(Loader([[part] for part in np.split(x, 4)]), verbose=0)
