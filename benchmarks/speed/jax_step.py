"""JAX: the whole step jitted, data resident, parameters and moments updated in place, optax's Adam."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from benchmarks.speed.tasks import LATENTS, LEARNING_RATE, SHAPES, Task
from benchmarks.speed.worker import Turns

PACKAGES = ("jax", "optax")


def initial(key: jax.Array, log_odds: np.ndarray) -> list[tuple[jax.Array, jax.Array]]:
    """Glorot-uniform weights, and biases of zero but for the last one."""
    glorot = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(SHAPES))
    layers = [(glorot(k, shape), jnp.zeros(shape[1])) for k, shape in zip(keys, SHAPES, strict=True)]
    return [*layers[:-1], (layers[-1][0], jnp.asarray(log_odds))]


def loss_of(layers: list[tuple[jax.Array, jax.Array]], x: jax.Array, key: jax.Array) -> jax.Array:
    """The negative ELBO of a batch, nats per datum."""
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = layers
    mean, log_variance = jnp.split(jax.nn.relu(x @ w1 + b1) @ w2 + b2, [LATENTS], -1)
    z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    logits = jax.nn.relu(z @ w3 + b3) @ w4 + b4
    distortion = optax.sigmoid_binary_cross_entropy(logits, x).sum(-1)
    rate = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance).sum(-1)
    return (distortion + rate).mean()


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Train until told to end."""
    x = jax.device_put(np.load(task.data)[: task.rows])
    optimizer = optax.adam(LEARNING_RATE)
    layers = initial(jax.random.key(task.seed), task.log_odds())
    state = optimizer.init(layers)

    def step(layers, state, x, rows, key):  # type: ignore[no-untyped-def]
        key, noise = jax.random.split(key)
        loss, gradient = jax.value_and_grad(loss_of)(layers, x[rows].astype(jnp.float32), noise)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(layers, updates), state, key, loss

    fast = jax.jit(step, donate_argnums=(0, 1, 4))
    key, generator = jax.random.key(task.seed + 1), np.random.default_rng(task.seed)
    while True:
        order = generator.permutation(task.rows)
        losses = []
        for first in range(0, task.rows, task.batch_size):
            layers, state, key, loss = fast(layers, state, x, order[first : first + task.batch_size], key)
            losses.append(loss)
        turns.end(float(jnp.stack(losses).mean()))


def clean() -> None:
    """Forget what was compiled for the last task, as a new process would have."""
    jax.clear_caches()
