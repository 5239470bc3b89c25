"""The intervals cover what they promise: a small version of benchmarks/interval_coverage.py."""

import pytest
from benchmarks import interval_coverage

from tests.chance import FALSE_ALARM


@pytest.mark.parametrize("num_latents", [2, 10])
def test_intervals_cover_at_their_rate(num_latents: int) -> None:
    size = ["--temperatures", "60", "--repeats", "60", "--rows", "40", "--samples", "8", "--steps", "100"]
    options = interval_coverage.parser().parse_args(["--latents", str(num_latents), *size])
    rows = interval_coverage.study(num_latents, options)
    found = {(row["estimator"], row["target"]): row for row in rows}
    for (estimator, target), row in found.items():
        if target == "own" or estimator == "ais":  # AIS is tight enough to cover log p(x) itself
            assert row["p_value"] > FALSE_ALARM, (estimator, target, row)
    assert found["log p(x), exact", "own"]["coverage"] >= 0.85
    assert found["elbo", "exact"]["mean"] < found["iwae", "exact"]["mean"]
    assert abs(found["ais", "own"]["target_value"] - found["ais", "exact"]["target_value"]) < 0.05
