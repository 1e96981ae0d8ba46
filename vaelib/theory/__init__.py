"""The mathematics of the course in NumPy and SciPy: nothing here needs Keras.

gaussian     log-densities, entropies, closed-form KL divergences
toy_models   latent-variable models whose log p(x) and p(z|x) are exact
inference    what one does with them: Monte Carlo ELBO, coordinate ascent, p(x) on a grid
importance   importance weights: the bound L_k, its gradients and their noise, exact for every k
divergences  forward and reverse KL of a Gaussian to a target, and their minimisers
gradients    score-function and pathwise estimators of the gradient of an expectation
families     reparameterisations beyond the Gaussian
autoencoders a plain and a variational autoencoder small enough for gradients written by hand
regression   Bayesian logistic and softmax regression: Laplace, variational posteriors, quadrature
mcmc         Hamiltonian Monte Carlo and what tells whether to trust it
quadrature   integrals as sums

Everything is computed in float64 and in nats. Bad input gets a ValueError that names the argument.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
