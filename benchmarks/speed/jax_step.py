"""JAX: the whole step jitted, data resident, parameters and moments updated in place, optax's Adam.

On a GPU an epoch is one launch, a scan over its batches.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from benchmarks.speed.tasks import DENSE, KERNEL, LATENTS, LEARNING_RATE, SHAPES, Task
from benchmarks.speed.worker import Turns

PACKAGES = ("jax", "optax")
PLANES = ("NHWC", "HWIO", "NHWC")
Layer = tuple[jax.Array, jax.Array]
"""Weights and biases."""
Coder = Callable[[list[Layer], jax.Array], jax.Array]


def initial(key: jax.Array, task: Task) -> list[Layer]:
    """Glorot-uniform weights, and biases of zero but for the last one."""
    glorot = jax.nn.initializers.glorot_uniform()
    shapes = convolutions(task) if task.widths else SHAPES
    keys = jax.random.split(key, len(shapes))
    layers = [(glorot(k, shape), jnp.zeros(shape[-1])) for k, shape in zip(keys, shapes, strict=True)]
    return [*layers[:-1], (layers[-1][0], jnp.asarray(task.log_odds()))]


def convolutions(task: Task) -> list[tuple[int, ...]]:
    """The shapes of the weights of the convolutional network, see `torch_networks`."""
    channels, side, _ = task.event
    planes = (channels, *task.widths)
    flat = planes[-1] * (side >> len(task.widths)) ** 2
    down = [(KERNEL, KERNEL, before, after) for before, after in itertools.pairwise(planes)]
    up = [(KERNEL, KERNEL, before, after) for before, after in itertools.pairwise(planes[::-1])]
    return [*down, (flat, DENSE), (DENSE, 2 * LATENTS), (LATENTS, DENSE), (DENSE, flat), *up]


def coders(task: Task) -> tuple[Coder, Coder]:
    """Encoder and decoder, as functions of the layers and of their input, images with channels last."""
    stages, relu, silu = len(task.widths), jax.nn.relu, jax.nn.silu
    if not stages:
        return (
            lambda layers, x: dense(layers[1], relu(dense(layers[0], x))),
            lambda layers, z: dense(layers[3], relu(dense(layers[2], z))),
        )
    size = task.event[1] >> stages

    def encode(layers: list[Layer], x: jax.Array) -> jax.Array:
        for weight, bias in layers[:stages]:
            x = jax.lax.conv_general_dilated(x, weight, (2, 2), ((1, 1),) * 2, dimension_numbers=PLANES)
            x = silu(x + bias)
        x = silu(dense(layers[stages], x.reshape(len(x), -1)))
        return dense(layers[stages + 1], x)

    def decode(layers: list[Layer], z: jax.Array) -> jax.Array:
        x = dense(layers[stages + 3], silu(dense(layers[stages + 2], z)))
        x = x.reshape(len(x), size, size, -1)
        for weight, bias in layers[stages + 4 :]:
            x = jax.lax.conv_transpose(silu(x), weight, (2, 2), ((2, 2),) * 2, dimension_numbers=PLANES)
            x = x + bias
        return x

    return encode, decode


def dense(layer: Layer, x: jax.Array) -> jax.Array:
    """A linear layer."""
    return x @ layer[0] + layer[1]


def loss_of(task: Task) -> Callable[[list[Layer], jax.Array, jax.Array], jax.Array]:
    """The negative ELBO of a batch, nats per datum."""
    encode, decode = coders(task)

    def negative_elbo(layers: list[Layer], x: jax.Array, key: jax.Array) -> jax.Array:
        mean, log_variance = jnp.split(encode(layers, x), [LATENTS], -1)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        distortion = optax.sigmoid_binary_cross_entropy(decode(layers, z), x).reshape(len(x), -1).sum(-1)
        rate = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance).sum(-1)
        return (distortion + rate).mean()

    return negative_elbo


def contestant(name: str, task: Task, turns: Turns) -> None:
    """Train until told to end."""
    stored = np.load(task.data)[: task.rows]
    x = jax.device_put(np.moveaxis(stored, 1, -1) if task.widths else stored)
    optimizer, negative_elbo = optax.adam(LEARNING_RATE), loss_of(task)
    layers = initial(jax.random.key(task.seed), task)
    carry = layers, optimizer.init(layers), jax.random.key(task.seed + 1)

    def step(carry, x, rows):  # type: ignore[no-untyped-def]
        layers, state, key = carry
        key, noise = jax.random.split(key)
        loss, gradient = jax.value_and_grad(negative_elbo)(layers, x[rows].astype(jnp.float32), noise)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(layers, updates), state, key), loss

    def steps(carry, x, batches):  # type: ignore[no-untyped-def]
        return jax.lax.scan(lambda carry, rows: step(carry, x, rows), carry, batches)  # type: ignore

    fast, scanned = jax.jit(step, donate_argnums=0), jax.jit(steps, donate_argnums=0)
    generator = np.random.default_rng(task.seed)
    whole = 0 if task.device == "cpu" else task.rows - task.rows % task.batch_size
    while True:
        order = generator.permutation(task.rows)
        losses = []
        if whole:
            carry, several = scanned(carry, x, order[:whole].reshape(-1, task.batch_size))
            losses.append(several)
        for first in range(whole, task.rows, task.batch_size):
            carry, loss = fast(carry, x, order[first : first + task.batch_size])
            losses.append(loss[None])
        turns.end(float(jnp.concatenate(losses).mean()))


def clean() -> None:
    """Forget what was compiled for the last task, as a new process would have."""
    jax.clear_caches()
