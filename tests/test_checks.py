"""What comes in: each error names the argument, what was expected and what came."""

import warnings

import numpy as np
import pytest

from vaelib import checks


@pytest.mark.parametrize("value", [1, 7, np.int64(7), np.uint8(7)])
def test_a_whole_number_passes_as_an_int(value):
    result = checks.positive_int("epochs", value)
    assert result == value and type(result) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, 0.5, "3", None, True, np.True_, np.array([2, 3])])
def test_any_other_value_is_refused_by_name(value):
    with pytest.raises(ValueError, match="epochs must be a whole number of at least 1; received"):
        checks.positive_int("epochs", value)


def test_sizes_take_one_or_several():
    assert checks.sizes("hidden_units", 200) == (200,)
    assert checks.sizes("hidden_units", [200, np.int64(100)]) == (200, 100)
    assert checks.sizes("hidden_units", ()) == ()
    with pytest.raises(ValueError, match=r"hidden_units\[1\] .* received 0"):
        checks.sizes("hidden_units", (200, 0))


@pytest.mark.parametrize("value", [(), None, (28, 0), (28, 28.0), "ab", 0])
def test_a_data_shape_is_at_least_one_positive_size(value):
    with pytest.raises(ValueError, match="data_shape"):
        checks.data_shape("data_shape", value)


def test_a_batch_comes_back_as_float32_without_a_copy_where_none_is_needed():
    x = np.ones((3, 2), "float32")
    assert checks.batch("x", x, (2,)) is x
    assert checks.batch("x", x.astype("float64"), (2,)).dtype == np.float32
    assert checks.batch("x", [[1.0, 2.0]], (2,)).shape == (1, 2)


@pytest.mark.parametrize(
    "value, message",
    [
        (np.ones((3, 3)), r"x must have shape \(n, 2\); received \(3, 3\)"),
        (np.ones(2), r"received \(2,\)\. A single example needs a batch axis: x\[None\]"),
        (1.0, r"x must have shape \(n, 2\); received \(\)"),
        (np.ones((0, 2)), "x holds no example"),
        ([[1.0, 2.0], [3.0]], "x must be one array; received rows of different lengths"),
        ([["a", "b"]], "x must hold numbers"),
        (np.ones((1, 2), complex), "x must hold numbers; received dtype complex128"),
    ],
)
def test_a_batch_of_another_kind_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        checks.batch("x", value, (2,))


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [1e300]])
def test_what_is_not_finite_is_refused_and_the_example_named(bad):
    x = np.zeros((5, 2))
    x[3, : len(bad)] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="x must be finite; example 3 holds NaN or infinity. Remove"):
            checks.batch("x", x, (2,))
        x[4, 0] = np.nan
        with pytest.raises(ValueError, match=r"example 3 holds .* \(and 1 more\)"):
            checks.batch("x", x, (2,))


def test_large_finite_values_are_not_taken_for_infinity():
    x = np.full((1000, 2), 3e38, "float32")
    assert checks.batch("x", x, (2,)) is x


@pytest.mark.parametrize("check", [checks.real_array, checks.positive_array, checks.open_unit_array])
@pytest.mark.parametrize("bad", ["a", None, [0.5, np.nan], np.inf, [[0.5], [0.5, 0.5]]])
def test_what_is_no_array_of_finite_numbers_is_refused_by_name(check, bad):
    with pytest.raises(ValueError, match="^sigma must be"):
        check("sigma", bad)


def test_numbers_become_float64_arrays():
    for check in (checks.real_array, checks.positive_array, checks.open_unit_array):
        array = check("sigma", np.float32(0.5))
        assert array.dtype == np.float64 and array.shape == () and array == 0.5
    np.testing.assert_array_equal(checks.real_array("x", [[-1, 2]]), [[-1.0, 2.0]])


@pytest.mark.parametrize(
    "check, bad",
    [
        (checks.positive_array, [1.0, 0.0]),
        (checks.positive_array, -2),
        (checks.open_unit_array, [0.5, 0.0]),
        (checks.open_unit_array, 1.0),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(check, bad):
    with pytest.raises(ValueError, match="^u must (be positive|lie strictly between 0 and 1); received"):
        check("u", bad)


def test_arrays_that_must_go_together():
    assert checks.common_shape(mu=np.zeros((3, 1)), std=np.ones(4)) == (3, 4)
    with pytest.raises(ValueError, match=r"broadcast together; received mu \(3,\), std \(4,\)"):
        checks.common_shape(mu=np.zeros(3), std=np.ones(4))
    z, mu = checks.vectors(z=np.zeros((5, 2)), mu=[1, 2])
    assert z.shape == (5, 2) and mu.dtype == np.float64
    for wrong in (np.zeros((5, 1)), 0.0):
        with pytest.raises(ValueError, match=r"same last axis, the dimension d; received z \(5, 2\), mu"):
            checks.vectors(z=np.zeros((5, 2)), mu=wrong)


def test_the_values_of_a_function_are_checked_with_its_name():
    z = np.arange(3.0)
    np.testing.assert_array_equal(checks.values_of("f", np.square, z, (3,)), [0, 1, 4])
    with pytest.raises(ValueError, match=r"f must map shape \(3,\) to \(3,\); it returned \(\)"):
        checks.values_of("f", np.sum, z, (3,))
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match="the values of f must be finite"):
        checks.values_of("f", np.log, z, (3,))
