"""Counts where a step has numbers of two types."""

import torch

from jensen.distributions import Poisson
from jensen.distributions.counts import unless_zero


def test_the_branches_may_differ_in_type() -> None:
    x = torch.tensor([0.0, 3.0])
    for few, many in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):
        found = unless_zero(x, torch.zeros(2, dtype=few), lambda x, kind=many: x.to(kind))
        assert found.dtype == torch.float32
        assert torch.equal(found, x)


def test_a_poisson_takes_rates_of_half_precision_under_autocast() -> None:
    rate = torch.tensor([0.5, 2.0, 7.0], dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Poisson(rate).log_prob(torch.tensor([0.0, 2.0, 5.0]))
    expected = torch.distributions.Poisson(rate.float()).log_prob(torch.tensor([0.0, 2.0, 5.0]))
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
