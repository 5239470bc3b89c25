"""How training starts: without what it does not need."""

import subprocess
import sys
from pathlib import Path

import numpy as np

PROGRAM = """
import sys
from pathlib import Path
from jensen.config import Settings
from jensen.session import start

def first(state):
    print(sorted({"torch._dynamo", "torch._inductor.compile_fx", "scipy"} & set(sys.modules)))
    raise SystemExit(3)

start(Settings(data=sys.argv[1], epochs=1000, hidden=(8,), latent_dim=2), Path(sys.argv[2]), on_epoch=first)
"""


def test_the_first_epoch_needs_no_compiler(tmp_path: Path) -> None:
    """`torch._dynamo` takes two seconds to import, and hides behind optimizers and dispatch modes."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(200, 4)))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "x.npy"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.strip() == "[]"
