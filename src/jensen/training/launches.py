"""Several steps a launch: on a GPU, a CUDA graph replays them without Python and without a wait."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from jensen.training.step import Step, trial

STEPS = 16
"""Steps that one launch takes."""
WARM_UP = 3
"""Steps taken one by one before the capture: libraries allocate and choose their kernels then."""

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Records what a function does to tensors; the result does the same again to whatever they then hold."""


def cuda_graph(function: Callable[[], None]) -> Callable[[], None]:
    """`Capture` by a CUDA graph. Nothing is executed while it is recorded; draws advance at every replay."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            function()
    except RuntimeError:  # torch leaves another stream, and its generator as if the capture went on
        torch.cuda.set_stream(stream)
        generator = torch.cuda.default_generators[stream.device_index]
        generator.graphsafe_set_state(generator.clone_state())
        raise
    return graph.replay


@contextmanager
def _waits_refused() -> Iterator[None]:
    """Inside, whatever waits for a GPU raises a RuntimeError; without one, nothing waits."""
    if not torch.cuda.is_initialized():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mode is a prototype
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)


class Launches:
    """Takes full batches ``steps`` at a time, by one replay of what was captured.

    The rows are gathered on the device into one place, where the captured steps find them.

    Args:
        step: takes a batch of stored rows.
        rows: data of the shape and type of all that will come, on the device, ``[N, *event]``.
        batch_size: B.
        capture: how to record; `cuda_graph` on a GPU.
        steps: steps of a launch.

    Raises:
        RuntimeError: a step waits for the host, and cannot be captured.
    """

    def __init__(
        self, step: Step, rows: Tensor, batch_size: int, capture: Capture = cuda_graph, steps: int = STEPS
    ) -> None:
        self.step, self.batch_size = step, batch_size
        self.inbox = torch.empty((steps * batch_size, *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
        with trial(step.slope), _waits_refused():  # first, since a capture that fails leaves things behind
            step.slope(rows[:batch_size], step.weight)
        self.replay = capture(self._all)

    def _all(self) -> None:
        for stored in self.inbox.split(self.batch_size):
            self.step(stored)

    def take(self, rows: Tensor, order: Tensor) -> Tensor:
        """Take as many steps as whole launches allow; return the row numbers of ``order`` that are left."""
        size = len(self.inbox)
        self.step.optimizer.refresh()  # a replay runs no Python that would do so
        while len(order) >= size:
            torch.index_select(rows, 0, order[:size], out=self.inbox)
            self.replay()
            order = order[size:]
            self.step.optimizer.behind = True  # the host did not follow
        return order
