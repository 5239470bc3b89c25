"""What every contestant is given: the same data, network and settings. Free of torch and of JAX."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIXELS, LATENTS, HIDDEN = 784, 16, 512
"""784-512-16-512-784, ReLU, a diagonal normal posterior and a Bernoulli decoder: 829 k parameters."""
LEARNING_RATE = 1e-3
KERNEL, DENSE = 4, 256
"""Of the convolutions: their side, and the units of the layer between them and the latents."""
SHAPES = ((PIXELS, HIDDEN), (HIDDEN, 2 * LATENTS), (LATENTS, HIDDEN), (HIDDEN, PIXELS))
"""Inputs and outputs of the layers; the encoder's come first."""
PARAMETERS = sum((inputs + 1) * outputs for inputs, outputs in SHAPES)
FLOP_PER_ROW = 6 * sum(inputs * outputs for inputs, outputs in SHAPES) - 2 * PIXELS * HIDDEN
"""Forward 2, backward 4 a weight; the gradient by the data themselves is not needed."""


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices itself; emulated, they are slower than float32."""
    cpu = Path("/proc/cpuinfo")
    words = cpu.read_text(encoding="utf-8").split() if cpu.exists() else []
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


@dataclass(frozen=True)
class Task:
    """One training, which goes on until it is told to end."""

    data: Path
    """A .npy file, uint8, ``[rows, 784]`` or ``[rows, channels, side, side]``, zeros and ones; the contestant
    trains on ``rows`` of them."""
    rows: int
    held_out: int
    """Rows that jensen holds out for validation, and as many for testing; the others train on the rest."""
    batch_size: int
    seed: int
    folder: Path
    """To write in."""
    options: dict[str, str]
    """Further settings of jensen."""
    device: str = "cpu"

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of a datum."""
        return np.load(self.data, mmap_mode="r").shape[1:]

    @property
    def widths(self) -> tuple[int, ...]:
        """Planes of the convolutions; none: an MLP."""
        return tuple(map(int, self.options["hidden"].split(","))) if len(self.event) == 3 else ()

    def log_odds(self) -> np.ndarray:
        """Of the pixels alone, ``[784]``, or of a channel's: the decoder's last bias, as jensen starts."""
        x = np.load(self.data)[: self.rows]
        ones = x.mean((0, 2, 3) if self.widths else 0, dtype=np.float64) * len(x)
        return np.log((ones + 0.5) / (len(x) - ones + 0.5)).astype(np.float32)
