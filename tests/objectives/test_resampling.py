"""Systematic resampling: as often as the weights say, to within one, and unbiased."""

import torch

from jensen.objectives.resampling import systematic


def test_picks_by_hand() -> None:
    weights = torch.tensor([0.1, 0.5, 0.4], dtype=torch.float64)  # ends at 0.1, 0.6 and 1
    assert systematic(weights, torch.tensor(0.2), 4).tolist() == [0, 1, 1, 2]  # 0.05, 0.3, 0.55, 0.8
    assert systematic(weights, torch.tensor(0.9), 4).tolist() == [1, 1, 2, 2]  # 0.225, 0.475, 0.725, 0.975


def test_each_of_a_batch_is_picked_by_its_own_weights_to_within_one() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = (3 * torch.randn(7, 50, generator=generator)).double().softmax(0)
    offsets = torch.rand(50, generator=generator, dtype=torch.float64)
    picks = systematic(weights, offsets, 20)
    assert picks.shape == (20, 50)
    counts = torch.stack([(picks == k).sum(0) for k in range(7)])
    assert ((counts - 20 * weights).abs() < 1).all()
    alone = torch.stack([systematic(weights[:, b], offsets[b], 20) for b in range(50)], 1)
    assert torch.equal(picks, alone)


def test_over_all_offsets_the_picks_are_the_weights() -> None:
    weights = torch.tensor([[0.07], [0.0], [0.63], [0.3]], dtype=torch.float64)
    offsets = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    picks = systematic(weights.expand(4, 1000), offsets, 5)
    shares = torch.stack([(picks == k).double().mean() for k in range(4)])
    assert torch.allclose(shares, weights[:, 0], atol=2e-4)
