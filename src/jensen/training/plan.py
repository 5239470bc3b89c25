"""The settings of the training loop. Free of torch, so that the command line can show them at once."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

from jensen.errors import check_choices, check_options


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train; the attribute docstrings are the help texts of the command line.

    In Python ``precision="auto"`` is float32: the command line looks at the hardware and at the likelihood,
    and `jensen.training.loop.train` knows neither.
    """

    section: ClassVar[str] = "training"

    epochs: int = 200
    """Passes over the training data, at most."""
    epoch_rows: int | None = None
    """Rows of an epoch, at most; the next epoch goes on from there. Left out: all rows for training, or
    65,536 where the data are larger than memory."""
    max_time: float | None = None
    """Seconds of training, with compiling: stop before the epoch that would go beyond it. The first epoch
    always runs to its end; --epoch-rows makes it shorter."""
    patience: int = 30
    """Stop when the validation bound has not improved for so many epochs; 0: never."""
    batch_size: int = 128
    """Data in a batch, B."""
    num_samples: int = 1
    """Latent samples per datum in training, K."""
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    """adam; adamw, with decoupled weight decay; muon, which moves weight matrices by the polar factor of
    their momentum: for long trainings of dense networks, with --batch-size 512."""
    lr: float = 1e-3
    """Learning rate."""
    lr_schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """plateau: multiplied by 0.3 after 10 epochs without a better validation bound; cosine: to zero
    over the epochs; constant."""
    weight_decay: float = 0.0
    """Weight decay, for adamw and muon."""
    average: float = 0.0
    """Keep a moving average of the weights, of which each step leaves this share (such as 0.999): it is what
    is validated, kept as best and saved. 0: the weights themselves."""
    grad_clip: float | None = None
    """Scale the gradient down to this norm when it is larger."""
    grad_clip_ratio: float = 0.0
    """Scale the gradient down to so many times its running norm when it is larger; 0: never."""
    kl_warmup: int = 0
    """Epochs over which the weight of the KL rises from 0 to 1. Meanwhile the training objective is
    not a bound on log p(x); the validation bound always is."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Of the products of linear and convolution layers in training. bf16: rounded to bfloat16, with float32
    weights, likelihood, KL and evaluation. auto: bf16 where the hardware is fast at it and it was shown to
    leave the final bound as it is (Bernoulli), else float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether to compile the training step. auto: once training has gone on for a while and much is left of
    it, so that a short run never waits; on: at once; off: never. Compiled or not, the draws are the same."""
    seed: int = 0
    """Seed of the split, the initial weights and every draw of training. What is drawn for rows held out does
    not depend on it."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be used, naming the option and what it allows."""
        check_choices(self)
        check_options(self, "epochs epoch_rows batch_size num_samples", lambda v: v >= 1, "at least 1")
        check_options(self, "patience kl_warmup seed weight_decay", lambda v: 0 <= v < inf, "0 or more")
        check_options(self, "grad_clip_ratio", lambda v: v == 0 or 1 <= v < inf, "0, or 1 or more")
        check_options(self, "average", lambda v: 0 <= v < 1, "from 0 to below 1")
        check_options(self, "lr", lambda v: 0 < v < inf, "a positive number")
        check_options(self, "max_time grad_clip", lambda v: v > 0, "a positive number")
        if self.optimizer == "adam":
            check_options(self, "weight_decay", lambda v: v == 0, "0 unless the optimizer is adamw or muon")
