"""Functions whose best form depends on who runs them: operations one after the other, or a compiler that joins them."""

from keras import ops

from vaelib.model.distributions import Tensor
from vaelib.training.compilation import in_a_graph, joins_operations

# Numbers between 1 and 2 that are multiplied before one logarithm is taken: 2^32 is far from float32's 2^127.
MOST_FACTORS = 32


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)), for any x without overflow.

    Where operations on every pixel run one after the other, each is a pass over memory, and the library's one function
    is the fastest. In a compiled loop passes cost nothing and log1p is what takes the time: log(1 + exp(-|x|)) takes
    half of it. Far below 0 its error stays at 1e-7, one unit in the last place of 1, where the other's shrinks with it.

    Args:
        x: tensor of any shape.

    Returns:
        Tensor of the same shape; its derivatives of every order are right, at 0 too.
    """
    if not joins_operations():
        return ops.softplus(x)
    size = ops.where(x < 0, -x, x)  # |x|, whose slope at 0 is that of the right side
    return ops.where(x < 0, 0.0, x) + ops.log(1.0 + ops.exp(-size))


def bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """Return the sum over the last axis of x log p + (1 - x) log(1 - p) with p = sigmoid(logits).

    Written as x * logits - log(1 + exp(logits)), it takes no logarithm of a rounded-off zero. In a graph of TensorFlow
    a logarithm takes longest and a product next to nothing. So the numbers 1 + exp(-|logits|), which lie between 1 and
    2, are multiplied in groups, and each group takes one logarithm: 0.56 of the time. A compiled loop gains nothing
    from groups, and operations that run as they are called would be slower: there are more of them.

    Args:
        x: tensor of shape (..., n), values in [0, 1].
        logits: tensor of shape (..., n).

    Returns:
        Nats, shape (...), off by about n units in the last place of 1 and one in its own; derivatives of every order
        are right, where a logit is 0 too.
    """
    if joins_operations() or not in_a_graph():
        return ops.sum(x * logits - softplus(logits), axis=-1)
    return ops.sum(x * logits, axis=-1) - _sum_softplus(logits)


@ops.custom_gradient
def _sum_softplus(x):
    factors, n = 1.0 + ops.exp(-ops.abs(x)), x.shape[-1]
    size = max(size for size in range(1, MOST_FACTORS + 1) if n % size == 0)
    products = ops.prod(ops.reshape(factors, (*ops.shape(x)[:-1], size, n // size)), axis=-2)

    def gradient(*args, upstream=None):
        (upstream,) = args if upstream is None else (upstream,)
        return ops.expand_dims(upstream, -1) * ops.sigmoid(x)

    return ops.sum(ops.relu(x), axis=-1) + ops.sum(ops.log(products), axis=-1), gradient
