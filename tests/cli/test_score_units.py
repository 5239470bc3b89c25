"""The parts of a score are in nats of the data as given, column by column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.helpers import TRAIN, Call, done

FACTORS = np.array([1.0, 2.0**10, 2.0**-6])
"""Powers of two, so that the scaled data are the same bit for bit."""


@pytest.mark.parametrize("scaling", ["per-dimension", "standard"])
def test_a_column_in_other_units_moves_its_own_share_by_their_logarithm(
    tmp_path: Path, call: Call, scaling: str
) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 1)) @ draw.normal(size=(1, 3)) + draw.normal(size=(60, 3))
    factors = FACTORS if scaling == "per-dimension" else FACTORS[1].repeat(3)
    found = []
    for name, units in (("one", np.ones(3)), ("other", factors)):
        data, run, out = (str(tmp_path / f"{name}{ending}") for ending in (".npy", "", ".csv"))
        np.save(data, x * units)
        done(call, "train", data, "--out", run, "--scaling", scaling, *TRAIN)
        done(call, "score", run, data, "-o", out, "--per-column", "--num-samples", "20")
        found.append(pd.read_csv(out))
    one, other = found
    shares = ["x0", "x1", "x2"]
    assert np.allclose(other[shares] - one[shares], -np.log(factors), atol=1e-6)
    assert np.allclose(other.latents, one.latents, atol=1e-6)
    assert np.allclose(other.log_px - one.log_px, -np.log(factors).sum(), atol=1e-6)
