"""Adam takes the steps of torch's own optimizers, eagerly and in a graph, whoever took the ones before."""

import pytest
import torch
from torch import Tensor, nn

from jensen.training.adam import Adam


def gradients(steps: int) -> Tensor:
    return torch.randn(steps, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64))


def reference(decay: float, lr: list[float]) -> Tensor:
    """Where torch's optimizer ends, float64."""
    it = parameter()
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    optimizer = kind([it], weight_decay=decay)
    for it.grad, optimizer.param_groups[0]["lr"] in zip(gradients(len(lr)), lr, strict=True):
        optimizer.step()
    return it.detach()


def as_in_a_graph(adam: Adam, gradient: Tensor) -> None:
    """A step as `jensen.training.compiler` records it."""
    adam.refresh()
    with torch.no_grad():
        adam.remember(gradient, adam.slots[0])
        adam.move(adam.parameters[0], adam.slots[0], adam.rates)
        adam.count.add_(1)
        adam.prepare(adam.count, adam.lr, adam.rates)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("in_graph", ["", "01234567", "012", "4567", "0246"], ids=lambda s: s or "none")
def test_the_steps_are_those_of_torch(decay: float, in_graph: str) -> None:
    lr = [0.1] * 4 + [0.05] * 4
    it = parameter()
    adam = Adam([it], 0.1, decay)
    for i, gradient in enumerate(gradients(8)):
        adam.set_rate(lr[i]) if i == 4 else None
        as_in_a_graph(adam, gradient) if str(i) in in_graph else adam.step([gradient])
    torch.testing.assert_close(it.detach(), reference(decay, lr), rtol=1e-12, atol=0)


def test_a_checkpoint_is_that_of_torch() -> None:
    """Three steps of torch's, and three more from what its state holds."""
    theirs, idle = parameter(), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([theirs, idle], lr=0.1)
    for theirs.grad in gradients(6)[:3]:
        optimizer.step()
    slots = optimizer.state_dict()["state"]
    kept = {f"{i}/{name}": tensor for i, slot in slots.items() for name, tensor in slot.items()}
    adam = Adam([theirs, idle], 0.1)
    adam.load(kept)
    for gradient in gradients(6)[3:]:
        adam.step([gradient, None])
    torch.testing.assert_close(theirs.detach(), reference(0.0, [0.1] * 6), rtol=1e-12, atol=0)
    assert idle.tolist() == [1, 1]
    assert adam.tensors()["0/step"] == 6


def test_float32_on_its_way_differs_by_rounding_alone() -> None:
    single = nn.Parameter(parameter().detach().float())
    adam = Adam([single], 0.1)
    for gradient in gradients(8):
        as_in_a_graph(adam, gradient.float())
    torch.testing.assert_close(single.detach().double(), reference(0.0, [0.1] * 8), rtol=1e-5, atol=1e-7)
