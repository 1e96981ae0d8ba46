"""Wake-sleep, exactly: two causes of one event on the unit square, and small Helmholtz machines by enumeration.

Everything is a sum over states. Gradients are with respect to logits, and to the weights behind them.
"""

import numpy as np
from scipy.special import expit, logit, xlogy

from vaelib import checks
from vaelib.theory.discrete import SigmoidBeliefNetwork, all_states

MOST_PAIRS = 2**20  # of states of two neighbouring layers; bounds the memory
TEACHERS = ("sleep", "free energy", "reweighted")  # of a machine's recognition
LOG_TIMES = (-40.0, 40.0, 4001)  # from, to, how many: of the integral over shares


# Two causes


class TwoCauses:
    """Two rare causes of one event, and independent probabilities q1, q2 for them once the event has come.

    A cause comes with the probability σ(bias), the event with σ(jump + weight · number of causes). States are in the
    order (0, 0), (1, 0), (0, 1), (1, 1).

    Args:
        bias, weight, jump: by default earthquake, truck and a house that jumps.
    Source: Hinton, Osindero & Teh (2006), figure 2.
    """

    def __init__(self, bias=-10.0, weight=20.0, jump=-20.0):
        network = SigmoidBeliefNetwork([[weight, weight]], [bias, bias], [jump])
        self.states = network.states
        self.log_evidence = network.log_evidence([1.0])
        self.log_posterior = network.log_joint([1.0]) - self.log_evidence

    @property
    def posterior(self):
        """The probability of each state once the event has come, shape (4,)."""
        return np.exp(self.log_posterior)

    def probabilities(self, q):
        """The probability of each state under independent causes: q (..., 2) to (..., 4)."""
        q = checks.open_unit_array("q", q)[..., None, :]
        return np.prod(np.where(self.states > 0, q, 1 - q), axis=-1)

    def wake(self, q):
        """KL(q ‖ posterior), what the free energy −ELBO is above −log p(x): q (..., 2) to (...), nats."""
        return _entropies(q) + self.probabilities(q) @ -self.log_posterior

    def sleep(self, q):
        """KL(posterior ‖ q), the sleep phase's loss on the dreams in which the event comes: q (..., 2) to (...)."""
        q, p = checks.open_unit_array("q", q), self.posterior
        marginal = p @ self.states
        cross = -np.sum(marginal * np.log(q) + (1 - marginal) * np.log1p(-q), axis=-1)
        return cross + np.sum(xlogy(p, p))

    def wake_gradient(self, q):
        """The gradient of `wake` in the logits of q, shape (..., 2)."""
        q = checks.open_unit_array("q", q)
        none, first, second, both = self.log_posterior
        alone = np.array([first - none, second - none])
        together = both - first - second + none
        return q * (1 - q) * (logit(q) - alone - together * q[..., ::-1])

    def sleep_gradient(self, q):
        """The gradient of `sleep` in the logits of q, q minus the posterior's own: shape (..., 2)."""
        return checks.open_unit_array("q", q) - self.posterior @ self.states

    def reweighted_gradient(self, q, num):
        """The mean of reweighted wake-sleep's gradient with num draws, in the logits of q: q (2,) to (2,).

        The draws' scores q − h are weighted by their shares of w = p(h|x)/q(h). One draw has the share 1, and the mean
        of its score is 0; many come to the gradient of `sleep`. Since 1/Σw = ∫ exp(−t Σw) dt, the mean is one
        integral, num ∫ E[w (q − h) exp(−t w)] E[exp(−t w)]^(num − 1) dt, here by the trapezoid rule over log t.

        Source: Bornschein & Bengio (2015).
        """
        q, num = checks.open_unit_array("q", q), checks.positive_int("num", num)
        chance = self.probabilities(q)
        w = np.exp(self.log_posterior) / chance
        t = np.exp(np.linspace(*LOG_TIMES))
        fading = np.exp(-t[:, None] * w)
        faded = np.maximum(np.expm1(-t[:, None] * w) @ chance, -1 + 1e-16)  # a logarithm must exist
        rest = np.exp((num - 1) * np.log1p(faded))
        step = (LOG_TIMES[1] - LOG_TIMES[0]) / (LOG_TIMES[2] - 1)
        weights = num * step * ((t * rest) @ (fading * chance * w))  # the mean share that each state gets
        return weights @ (q - self.states)


def walk(gradient, q, num_steps, size):
    """Steps down a gradient in the logits, from q (2,): shape (num_steps + 1, 2)."""
    way = [checks.open_unit_array("q", q)]
    for _ in range(num_steps):
        # Inside the square for a float, too: at its edge a logit is infinite.
        way.append(np.clip(expit(logit(way[-1]) - size * gradient(way[-1])), 1e-9, 1 - 1e-9))
    return np.array(way)


def _entropies(q):
    """Minus the entropy of independent coins, (..., 2) to (...)."""
    q = checks.open_unit_array("q", q)
    return np.sum(xlogy(q, q) + xlogy(1 - q, 1 - q), axis=-1)


# Helmholtz machines


class HelmholtzMachine:
    """Layers of zeros and ones: from the top down p(x, h1, ...) dreams, from the bottom up q(h1, ...|x) recognises.

    Each layer's units are independent given the layer that feeds them, with sigmoids of linear functions. All states
    of each two neighbours are enumerated.

    Args:
        sizes: units of each layer, those of x first: (9, 6, 1).
        rng: np.random.Generator of the first weights.
        scale: standard deviation of the first weights; biases are 0.
    Raises:
        ValueError: fewer than two layers, or more states than are enumerated (says how many, and the limit).
    Source: Dayan, Hinton, Neal & Zemel (1995); Hinton, Dayan, Frey & Neal (1995).
    """

    def __init__(self, sizes, rng, scale=0.1):
        self.sizes = checks.sizes("sizes", sizes)
        if len(self.sizes) < 2:
            raise ValueError(f"sizes must hold at least two layers, those of x first; received {self.sizes}.")
        for below, above in zip(self.sizes, self.sizes[1:], strict=False):
            if 2 ** (below + above) > MOST_PAIRS:
                raise ValueError(
                    f"layers of {below} and {above} units have 2^{below + above} pairs of states to enumerate; the "
                    f"limit is {MOST_PAIRS:,}. Take fewer units."
                )
        self.states = [all_states(size) for size in self.sizes]
        pairs = list(zip(self.sizes, self.sizes[1:], strict=False))
        self.top = np.zeros(self.sizes[-1])
        self.generative = [(scale * rng.standard_normal((low, high)), np.zeros(low)) for low, high in pairs]
        self.recognition = [(scale * rng.standard_normal((high, low)), np.zeros(high)) for low, high in pairs]

    # Tables: log probabilities of one layer's states (columns) given those of its neighbour (rows).

    def _down(self, n):
        return _log_table(self.generative[n], self.states[n + 1], self.states[n])

    def _up(self, n):
        return _log_table(self.recognition[n], self.states[n], self.states[n + 1])

    def _log_top(self):
        return _log_table((np.zeros((len(self.top), 1)), self.top), np.zeros((1, 1)), self.states[-1])[0]

    def marginals(self):
        """p of each layer's states, a list with that of x first."""
        found = [np.exp(self._log_top())]
        for n in reversed(range(len(self.generative))):
            found.insert(0, found[0] @ np.exp(self._down(n)))
        return found

    def free_energies(self):
        """−ELBO of each x, nats, shape (2^D,): from the top down, the mean of log q − log p of all above."""
        return self._values()[0]

    def _values(self):
        """For each layer, what stands above it costs on average given its states."""
        values = [-self._log_top()]
        for n in reversed(range(len(self.recognition))):
            log_q = self._up(n)
            values.insert(0, np.sum(np.exp(log_q) * (log_q - self._down(n).T + values[0]), axis=1))
        return values

    def kl_from(self, data):
        """KL(data ‖ p), nats; data holds a probability for each x, shape (2^D,)."""
        data = self._checked(data)
        seen = data > 0
        return float(np.sum(data[seen] * np.log(data[seen] / self.marginals()[0][seen])))

    def free_energy(self, data):
        """The mean of −ELBO over the data, nats."""
        return float(self._checked(data) @ self.free_energies())

    # The three gradients, as lists of (weights, biases) in the order of the layers.

    def wake_gradient(self, data):
        """The gradient of the free energy in the generative weights: (list for the layers, the top's biases)."""
        occupied, gradients = self._checked(data), []
        for n in range(len(self.generative)):
            pairs = occupied[:, None] * np.exp(self._up(n))
            gradients.append(_gradient(self.generative[n], self.states[n + 1], self.states[n], -pairs.T))
            occupied = pairs.sum(axis=0)
        return gradients, expit(self.top) - occupied @ self.states[-1]

    def sleep_gradient(self):
        """The gradient of −E log q(h|x) over dreams (x, h) ~ p, in the recognition weights: a list for the layers."""
        marginals = self.marginals()
        return [
            _gradient(
                self.recognition[n], self.states[n], self.states[n + 1], -(marginals[n + 1][:, None] * np.exp(table)).T
            )
            for n, table in enumerate(map(self._down, range(len(self.generative))))
        ]

    def free_energy_gradient(self, data):
        """The gradient of the free energy in the recognition weights: what the ELBO asks for, and sleep is not."""
        occupied, values, gradients = self._checked(data), self._values(), []
        for n in range(len(self.recognition)):
            log_q = self._up(n)
            pairs = occupied[:, None] * np.exp(log_q)
            costs = pairs * (log_q - self._down(n).T + values[n + 1])
            gradients.append(_gradient(self.recognition[n], self.states[n], self.states[n + 1], costs))
            occupied = pairs.sum(axis=0)
        return gradients

    def reweighted_gradient(self, data):
        """The gradients of reweighted wake-sleep with as many draws as one likes: (for p, the top's biases, for q).

        Both are means over the data and the posterior p(h|x), which endless draws come to. That for p is the gradient
        of −E log p(x), that for q the gradient of the mean KL(p(h|x) ‖ q(h|x)) in the recognition weights.

        Source: Bornschein & Bengio (2015), section 2.
        """
        occupied, marginals, below, above = self._checked(data), self.marginals(), [], []
        for n in range(len(self.generative)):
            # By Bayes' rule; given one layer, those above it do not depend on those below.
            upwards = marginals[n + 1] * np.exp(self._down(n)).T / marginals[n][:, None]
            pairs = occupied[:, None] * upwards
            below.append(_gradient(self.generative[n], self.states[n + 1], self.states[n], -pairs.T))
            above.append(_gradient(self.recognition[n], self.states[n], self.states[n + 1], -pairs))
            occupied = pairs.sum(axis=0)
        return below, expit(self.top) - occupied @ self.states[-1], above

    def step(self, data, rate, teacher="sleep"):
        """One step of all weights.

        Args:
            data: as for `kl_from`.
            rate: the length of the step.
            teacher: what the recognition learns from. "sleep": dreams; "free energy": the ELBO; with both the
                generative weights learn awake. "reweighted": `reweighted_gradient`, for all weights.
        Raises:
            ValueError: teacher is none of the three.
        """
        if teacher not in TEACHERS:
            raise ValueError(f"teacher must be one of {', '.join(TEACHERS)}; received {teacher!r}.")
        if teacher == "reweighted":
            below, top, above = self.reweighted_gradient(data)
        else:
            below, top = self.wake_gradient(data)
            above = self.sleep_gradient() if teacher == "sleep" else self.free_energy_gradient(data)
        self.generative = _moved(self.generative, below, rate)
        self.recognition = _moved(self.recognition, above, rate)
        self.top = self.top - rate * top

    def _checked(self, data):
        data = checks.real_array("data", data)
        if data.shape != (len(self.states[0]),) or np.any(data < 0) or abs(data.sum() - 1) > 1e-9:
            raise ValueError(
                f"data must hold a probability for each of the {len(self.states[0])} states of x, adding up to 1; "
                f"received shape {data.shape}."
            )
        return data


def bars(side=3, chance=0.5):
    """The probability of each picture of bars, shape (2^(side²),): rows or columns by a coin, each on with `chance`.

    Source: in the manner of Hinton, Dayan, Frey & Neal (1995).
    """
    side = checks.positive_int("side", side)
    chance = float(checks.open_unit_array("chance", chance))
    data, lines = np.zeros(len(all_states(side**2))), all_states(side)
    for on in lines:
        share = 0.5 * chance ** on.sum() * (1 - chance) ** (side - on.sum())
        for picture in (np.repeat(on, side), np.tile(on, side)):
            data[int(picture @ 2 ** np.arange(side**2))] += share
    return data


def _log_table(weights, given, states):
    """log probability of each row of states (columns of the table) given each row of `given`."""
    w, c = weights
    logits = given @ w.T + c
    return logits @ states.T - np.logaddexp(0, logits).sum(axis=1, keepdims=True)


def _gradient(weights, given, states, counts):
    """The gradient of Σ counts · log p(states|given) in the weights and biases."""
    w, c = weights
    errors = counts @ states - counts.sum(axis=1, keepdims=True) * expit(given @ w.T + c)
    return errors.T @ given, errors.sum(axis=0)


def _moved(weights, gradients, rate):
    return [(w - rate * dw, c - rate * dc) for (w, c), (dw, dc) in zip(weights, gradients, strict=True)]
