"""Whatever comes in: an error that names the argument, or a right result. Never NaN in silence."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelib.theory import (
    autoencoders,
    denoising,
    density_ratio,
    diffusion,
    discrete,
    divergences,
    families,
    four_points,
    gaussian,
    gradients,
    importance,
    mcmc,
    quadrature,
    regression,
    toy_models,
)

A = np.array
MU, LOG_VAR, EPS = A([0.3, -0.2]), A([0.1, -0.4]), A([[0.5, -1.0], [0.2, 0.3], [1.0, 0.0]])
COV = A([[1.0, 0.3], [0.3, 0.8]])
TARGET = divergences.Mixture([0.4, 0.6], [-1.0, 2.0], [0.5, 1.0])
FAMILY = families.location_scale_family("laplace")

# Each function with arguments that fit; those that are numbers are spoilt one at a time.
CALLS = {
    gaussian.cholesky: dict(cov=COV),
    gaussian.log_prob_normal: dict(x=0.3, mu=0.1, log_var=0.2),
    gaussian.log_prob_diagonal: dict(z=EPS, mu=MU, log_var=LOG_VAR),
    gaussian.log_prob_full: dict(z=EPS, mu=MU, cov=COV),
    gaussian.log_prob_standard_normal: dict(z=EPS),
    gaussian.entropy_normal: dict(log_var=0.2),
    gaussian.entropy_diagonal: dict(log_var=LOG_VAR),
    gaussian.entropy_full: dict(cov=COV),
    gaussian.kl_normal: dict(mu_q=0.1, var_q=1.2, mu_p=0.0, var_p=0.7),
    gaussian.kl_full: dict(mu_q=MU, cov_q=COV, mu_p=MU, cov_p=COV),
    gaussian.kl_diagonal: dict(mu_q=MU, log_var_q=LOG_VAR, mu_p=MU, log_var_p=LOG_VAR),
    gaussian.kl_standard_normal_per_dim: dict(mu=MU, log_var=LOG_VAR),
    gaussian.kl_standard_normal: dict(mu=MU, log_var=LOG_VAR),
    gaussian.kl_standard_normal_gradient: dict(mu=MU, log_var=LOG_VAR),
    gaussian.kl_gradient_flow: dict(mu=MU, log_var=LOG_VAR, time=A([0.0, 1.0])),
    gaussian.sample_diagonal: dict(mu=MU, log_var=LOG_VAR, eps=EPS),
    gaussian.sample_full: dict(mu=MU, cov=COV, eps=EPS),
    divergences.Mixture: dict(weights=A([0.4, 0.6]), means=A([-1.0, 2.0]), stds=A([0.5, 1.0])),
    divergences.forward_kl: dict(target=TARGET, mu=0.1, std=1.2),
    divergences.kl_on_grid: dict(x=np.linspace(-5, 5, 101), log_p=np.zeros(101), log_q=np.zeros(101)),
    density_ratio.features: dict(x=A([0.2, 0.7])),
    density_ratio.log_ratio: dict(mu_q=1.0, std_q=1.0, mu_p=0.0, std_p=2.0),
    density_ratio.fit_critic: dict(from_q=A([0.2, 1.7]), from_p=A([0.1, -0.4]), ridge=1.0),
    density_ratio.contrast_kl: dict(from_q=A([0.2, 1.7]), standard=A([0.1, -0.4]), log_p=lambda x: -(x**2), ridge=1.0),
    density_ratio.critic_bounds: dict(x=A([0.0, 1.0]), log_q=A([0.1, 0.2]), log_p=A([0.2, 0.1]), critic=A([1.0, 2.0])),
    four_points.normal_densities: dict(mu=np.zeros((4, 2)), std=np.ones((4, 2))),
    four_points.cloud_density: dict(centres=np.zeros((3, 2)), std=0.5),
    four_points.negative_elbo: dict(values=np.zeros(16)),
    discrete.gumbel: dict(u=A([0.2, 0.7])),
    discrete.relaxed_draw: dict(logits=A([0.2, 0.7]), noise=A([0.1, -0.4]), tau=0.5),
    discrete.relaxed_log_prob: dict(y=A([0.25, 0.75]), logits=A([0.2, 0.7]), tau=0.5),
    discrete.kl_uniform: dict(pi=A([0.2, 0.8])),
    discrete.SigmoidBeliefNetwork: dict(w=A([[0.2, 0.7]]), b=A([0.1, 0.3]), c=A([0.5])),
    diffusion.alpha_sigma: dict(snr=A([0.5, 2.0])),
    diffusion.forward_step: dict(snr_s=3.0, snr_t=0.5),
    diffusion.forward_posterior: dict(x=A([0.2, 0.7]), z_t=A([0.1, -0.4]), snr_s=3.0, snr_t=0.5),
    diffusion.layer_kls: dict(errors=A([0.2, 0.7]), snr=A([3.0, 2.0, 0.5])),
    diffusion.said_in_four_ways: dict(x=A([0.2, 0.7]), z=A([0.1, -0.4]), snr=2.0),
    diffusion.normal_bound: dict(snr=A([3.0, 2.0, 0.5]), square=1.0),
    diffusion.normal_limit: dict(snr_max=3.0, snr_min=0.5),
    diffusion.snr_of_betas: dict(betas=A([0.1, 0.2])),
    diffusion.drawn_variance: dict(snr=A([3.0, 2.0, 0.5]), share=0.5),
    denoising.RoundMixture: dict(weights=A([0.4, 0.6]), means=A([[-1.0], [2.0]]), stds=A([0.5, 1.0])),
    gradients.score_function_samples: dict(f=lambda z: (z**2).sum(-1), mu=MU, log_var=LOG_VAR, eps=EPS),
    gradients.pathwise_samples: dict(df=lambda z: 2 * z, mu=MU, log_var=LOG_VAR, eps=EPS),
    gradients.leave_one_out_baseline: dict(values=A([1.0, 2.0, 4.0])),
    gradients.quadratic_gradient: dict(a=A([[1.0, 0.2], [0.2, 2.0]]), b=A([0.5, 0.5]), mu=MU, log_var=LOG_VAR),
    gradients.sample_cholesky: dict(mu=MU, factor=np.linalg.cholesky(COV), eps=EPS),
    gradients.bernoulli_score_function_samples: dict(f=lambda z: z, prob=0.3, u=A([0.2, 0.7])),
    importance.bound_estimate: dict(log_w=EPS),
    importance.effective_sample_size: dict(log_w=EPS),
    importance.normal_second_moment: dict(mu_q=MU, cov_q=COV, mu_p=MU, cov_p=COV),
    importance.mean_field_second_moment: dict(rho=0.4),
    families.location_scale_sample: dict(family=FAMILY, loc=0.1, scale=1.2, u=A([0.2, 0.7])),
    families.log_prob_location_scale: dict(family=FAMILY, z=A([0.2, 0.7]), loc=0.1, scale=1.2),
    families.exponential_sample: dict(rate=1.5, u=A([0.2, 0.7])),
    families.kumaraswamy_sample: dict(a=1.5, b=0.7, u=A([0.2, 0.7])),
    families.weibull_sample: dict(scale=1.5, shape=0.7, u=A([0.2, 0.7])),
    mcmc.r_hat: dict(values=np.sin(np.arange(40.0)).reshape(4, 10)),
    mcmc.effective_sample_size: dict(values=np.sin(np.arange(40.0)).reshape(4, 10)),
    mcmc.standard_error: dict(values=np.sin(np.arange(40.0)).reshape(4, 10)),
    quadrature.even_grid: dict(low=-1.0, high=1.0, step=0.1),
    quadrature.trapezoid_weights: dict(x=A([0.0, 1.0, 3.0])),
    quadrature.gauss_hermite: dict(num_dims=2, points_per_dim=3),
    regression.LogisticRegression: dict(features=EPS, labels=A([0.0, 1.0, 1.0])),
    toy_models.LinearGaussian: dict(w=A([1.0, 2.0]), b=A([0.0, 1.0]), sigma=0.5),
    toy_models.BernoulliLatent: dict(w=A([1.0, 2.0]), b=A([0.0, 1.0])),
    autoencoders.log_prob_bernoulli: dict(x=A([[0.0, 1.0]]), logits=A([[0.3, -0.3]])),
}

SPOIL = {
    "NaN": lambda value: np.full(np.shape(value), np.nan),
    "one NaN": lambda value: np.where(np.arange(np.size(value)).reshape(np.shape(value)) == 0, np.nan, value),
    "infinity": lambda value: np.full(np.shape(value), np.inf),
    "text": lambda value: "seven",
    "nothing": lambda value: None,
    "complex": lambda value: np.asarray(value) + 1j,
    "masked": lambda value: np.ma.masked_array(np.atleast_1d(value), True),
    "objects": lambda value: np.full(np.shape(value), None),
    "negative": lambda value: -np.abs(np.asarray(value, float)) - 1.0,
    "huge": lambda value: np.full(np.shape(value), 1e308),
}
NUMBERS = [
    (function, name) for function, arguments in CALLS.items() for name, value in arguments.items()
    if not callable(value) and isinstance(value, int | float | np.ndarray)
]  # fmt: skip


def leaves(result):
    """All arrays in what a function returned: of tuples, named tuples and objects too."""
    if isinstance(result, dict):
        result = tuple(result.values())
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in leaves(part)]
    if hasattr(result, "__dict__") and not isinstance(result, np.ndarray):
        return [leaf for part in vars(result).values() for leaf in leaves(part)]
    array = np.asarray(result)
    return [array] if array.dtype.kind == "f" else []


@pytest.mark.parametrize("function", CALLS, ids=lambda function: f"{function.__module__[14:]}.{function.__name__}")
def test_what_fits_gives_numbers(function):
    assert all(np.isfinite(leaf).all() for leaf in leaves(function(**CALLS[function])))


def check(function, name, bad):
    """Call with one bad argument; the error must name it, or the result must hold no NaN."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = function(**{**CALLS[function], name: bad})
        except (ValueError, TypeError) as error:
            assert any(argument in str(error) for argument in CALLS[function]), f"names no argument: {error!r}"
            return
    assert not any(np.isnan(leaf).any() for leaf in leaves(result)), "NaN in silence"


@pytest.mark.parametrize("how", SPOIL)
def test_a_bad_number_is_named(how):
    wrong = []
    for function, name in NUMBERS:
        try:
            check(function, name, SPOIL[how](CALLS[function][name]))
        except Exception as error:
            said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            wrong.append(f"{function.__module__[14:]}.{function.__name__}({name}): {said}"[:200])
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.data())
def test_any_shape_and_any_number(data):
    function, name = data.draw(st.sampled_from(NUMBERS))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
    numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-3, 3)
    values = data.draw(st.lists(numbers, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    if function is quadrature.even_grid or function is quadrature.gauss_hermite:  # a huge grid is what was asked for
        values = [min(max(value, 0.01), 9) if np.isfinite(value) else value for value in values]
    check(function, name, np.array(values, float).reshape(shape))
