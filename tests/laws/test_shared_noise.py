"""With shared noise each row has the draws that it would have alone: they do not depend on its neighbours."""

import pytest
import torch
from torch.distributions import Normal

from jensen.distributions.shared_noise import share_noise
from tests.laws.cases import ENCODERS, Case

SEED = 3


def draws(q: torch.distributions.Distribution, how: str) -> torch.Tensor:
    torch.manual_seed(SEED)
    found: torch.Tensor = getattr(q, how)((4,))
    return found


@pytest.mark.parametrize("case", ENCODERS, ids=lambda case: case.name)
@torch.no_grad()
def test_rows_draw_as_if_they_were_alone(case: Case) -> None:
    """So a row's draws have its own distribution, whatever the other rows and their order."""
    module = case.build()
    raw = case.raw(module, 5)
    q = module(raw)
    shared = share_noise(q)
    assert (shared.batch_shape, shared.event_shape) == (q.batch_shape, q.event_shape)
    assert draws(q, "sample").shape == (4, 5, *q.event_shape), "q itself is as it was"
    moments = torch.cat(
        [torch.stack([alone.mean, alone.variance]) for row in raw if (alone := module(row[None]))], 1
    )
    torch.testing.assert_close(torch.stack([q.mean, q.variance]), moments, rtol=1e-9, atol=1e-12)
    for how in ("rsample", "sample") if q.has_rsample else ("sample",):
        together = draws(shared, how)
        alone = torch.cat([draws(module(raw[row : row + 1]), how) for row in range(5)], 1)
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
        if case.support != "point":
            of_each = torch.cat([module(raw[[row]]).log_prob(together[:, [row]]) for row in range(5)], 1)
            torch.testing.assert_close(shared.log_prob(together), of_each, rtol=1e-9, atol=1e-9)


def test_what_is_not_known_comes_back_as_it_is() -> None:
    class Own(Normal):
        """A user's posterior, which may draw in any way."""

    for q in (
        Own(torch.zeros(3), torch.ones(3)),
        Normal(torch.zeros(2, 3), torch.ones(2, 3)),
        "of a hierarchy",
    ):
        assert share_noise(q) is q
