"""How training starts: without what it does not need."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jensen.cli

PROGRAM = """
import sys
from pathlib import Path
from jensen.config import Settings
from jensen.session import start

def first(state):
    print(sorted({"torch._dynamo", "torch._inductor.compile_fx", "sympy", "scipy"} & set(sys.modules)))
    raise SystemExit(3)

start(Settings(data=sys.argv[1], epochs=1000, hidden=(8,), latent_dim=2), Path(sys.argv[2]), on_epoch=first)
"""


@pytest.mark.parametrize("name", ["x.npy", "x.csv"])
def test_the_first_epoch_needs_no_compiler(tmp_path: Path, name: str) -> None:
    """`torch._dynamo` takes two seconds to import, and hides behind optimizers and dispatch modes.

    sympy takes half a second, and hides behind shapes: here of columns of few levels, and of many.
    """
    x = np.random.default_rng(0).normal(size=(4400, 2))
    np.save(tmp_path / "x.npy", x)
    lines = [f"{a},{'ab'[int(a > 0)]},city {n // 4}" for n, a in enumerate(x[:, 0])]
    (tmp_path / "x.csv").write_text("\n".join(["number,sign,city", *lines]))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / name), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("load", "chosen", "expected"),
    [
        (0.0, {}, {"OMP_PROC_BIND": "true"}),
        (4.0, {}, {"OMP_WAIT_POLICY": "passive"}),
        (None, {}, {}),
        (0.0, {"OMP_PROC_BIND": "false"}, {}),
        (4.0, {"OMP_WAIT_POLICY": "active"}, {}),
        (4.0, {"GOMP_SPINCOUNT": "100"}, {}),
        (0.0, {"OMP_NUM_THREADS": "2"}, {}),
        (4.0, {"OMP_NUM_THREADS": "2"}, {}),
    ],
)
def test_threads_are_bound_on_an_idle_machine_and_sleep_on_a_busy_one(
    load: float | None,
    chosen: dict[str, str],
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless the user has chosen."""

    def average() -> tuple[float, float, float]:
        if load is None:
            raise OSError("this system does not say")
        return load, load, load

    monkeypatch.setattr(os, "environ", dict(chosen))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    monkeypatch.setattr(os, "getloadavg", average, raising=False)
    jensen.cli._prepare_process()
    assert os.environ == chosen | expected


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_scoring_needs_no_scipy_and_no_pandas(trained: Path, tmp_path: Path, suffix: str) -> None:
    """Statistics take a second to import, a third of a small score, and frames half a second."""
    found = "sorted({'scipy.stats', 'pandas'} & {*sys.modules})"
    program = f"import sys, jensen.cli; jensen.cli.main(sys.argv[1:]); print({found})"
    words = ["score", str(trained / "run"), str(trained / "d.npy"), "-o", str(tmp_path / f"s{suffix}")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "[]"
