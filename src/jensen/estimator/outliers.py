"""Outliers: rows that the model explains badly."""

from typing import Any

import numpy as np
from sklearn.base import OutlierMixin

from jensen.data.arrays import Array
from jensen.data.words import count
from jensen.errors import UserError
from jensen.estimator.base import BY_COLUMN, VAEBase, check_density, unspoilt
from jensen.estimator.containers import Container
from jensen.estimator.core import alone
from jensen.evaluation.score import score
from jensen.evaluation.tempered import tempered_score

STEPS = 1500
"""Gradient steps where ``epochs`` is left out."""
LATENTS = 8
"""Latents where ``latent_dim`` is left out, or as many as columns where these are fewer."""
PRIOR_DRAWS = 1000
"""Latents, drawn once for all rows, of a tempered score."""
TAIL = 0.1
"""Share of the rows fitted below one spread under the median of a score."""


def _within(value: Any, most: float) -> bool:
    """Whether a parameter is a number above 0 and up to ``most``."""
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and bool(0 < value <= most)
    )


class VAEOutlierDetector(OutlierMixin, VAEBase):
    """Rows are outliers when they are unlikely, or when latents that are common explain them badly.

    The score is the lower of two, each in its own spread over the rows fitted:

        score(x) = min over t in {1, 1/D} of (S_t(x) - median S_t) / (median S_t - 10 % quantile of S_t)

    Here D is the number of columns and ``S_t(x) = (1/t) log E_{z ~ p(z)} p(x | z)^t``. S_1 is log p(x), which
    is low for rows in gaps between the others. A smaller t makes rare latents dear, so that S_t is low for
    rows far out, even where many are alike and the model has learned them. docs/anomalies.md compares.

    Args:
        contamination: the share of outliers among the rows fitted, in (0, 0.5]; it sets the threshold only.
            There is no "auto": nothing in the scores says where outliers begin.
        power: t in (0, 1] to score by S_t alone, in nats of the data as given; None for the lower of the two.
        latent_dim: M; None for the number of columns, and 8 at most.
        hidden: widths of the hidden layers.
        likelihood: the decoder's family; "auto" for a normal one with mean and variance from the network
            where all columns are numbers and complete, and one by the type of each column elsewhere.
        epochs: the largest number of passes over the data; None for about 1500 gradient steps.
        max_time: the largest number of seconds of training; None for no limit.
        patience: training stops after so many epochs without a better validation bound; 0: never.
        batch_size: B; None for a twentieth of the rows, from 16 to 128: few rows need many steps.
        lr: the learning rate at the start, from which it falls to zero.
        importance_samples: K, importance samples of each row in log p(x).
        random_state: seed, RandomState or None: of the rows held out, the first weights and every draw.
        verbose: 1 to be told about once a second, on standard error, how far training is; 0 for silence.
        options: other settings of ``jensen train`` by name, such as ``{"activation": "gelu"}``; those of
            files, images and devices mean nothing for rows in memory, and are refused.

    Attributes:
        offset_: the score below which a row is an outlier.
        center_, spread_: median of S_t, and from there to its 10 % quantile, over the rows fitted; nats,
            ``[2, 1]``; only where ``power`` is left out.
    """

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        power: float | None = None,
        latent_dim: int | None = None,
        hidden: tuple[int, ...] = (64,),
        likelihood: str = "auto",
        epochs: int | None = None,
        max_time: float | None = None,
        patience: int = 0,
        batch_size: int | None = None,
        lr: float = 3e-3,
        importance_samples: int = 200,
        random_state: Any = None,
        verbose: int = 0,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.contamination = contamination
        self.power = power
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.likelihood = likelihood
        self.epochs = epochs
        self.max_time = max_time
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr
        self.importance_samples = importance_samples
        self.random_state = random_state
        self.verbose = verbose
        self.options = options

    @unspoilt
    def fit(self, X: Any, y: Any = None) -> "VAEOutlierDetector":
        """Train on X, and set the threshold that calls a share ``contamination`` of its rows outliers.

        Raises:
            ValueError: X cannot be used, or a parameter; the message says how to mend it.
        """
        if not _within(self.contamination, 0.5):
            raise UserError(f"contamination is {self.contamination!r}; give a share above 0 and up to 0.5")
        if self.power is not None and not _within(self.power, 1):
            raise UserError(f"power is {self.power!r}; give a number above 0 and up to 1, or None")
        codes = self._fit(self._checked(X, reset=True))
        if self._say:
            self._say(f"scoring {count(len(codes), 'row')}")
        found = self._nats(codes)
        if self.power is None:
            self.center_ = np.median(found, axis=1, keepdims=True)
            spread = self.center_ - np.quantile(found, TAIL, axis=1, keepdims=True)
            self.spread_ = np.where(spread > 0, spread, 1.0)
        self.offset_ = float(np.percentile(self._combine(found), 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> Array:
        """The score of each row, ``[N]``: the lower, the more an outlier.

        With ``power``, nats of the data as given; without, spreads from the median of the rows fitted.

        Raises:
            ValueError: X cannot be used; the message says how to mend it.
        """
        rows = self._checked(X, reset=False)
        codes = self.container_.encode(rows)
        self._check_domain(codes)
        return self._combine(self._nats(codes))

    def decision_function(self, X: Any) -> Array:
        """``score_samples(X) - offset_``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """-1 for outliers and 1 for others, ``[N]``."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _contain(self, X: Any) -> Container:
        """Columns as numbers where all are, and complete, or where a likelihood of numbers is given."""
        container = Container.of(X)
        numbers = container.as_numbers()
        if self.likelihood not in BY_COLUMN:
            return numbers
        complete = numbers.numeric and not np.isnan(numbers.encode(X)).any()
        return numbers if complete and self.likelihood == "auto" else container

    def _options(self, codes: Array) -> dict[str, Any]:
        options = {"lr_schedule": "cosine"} | super()._options(codes)
        if options.get("condition") and self.power != 1:
            raise UserError(
                "options has 'condition', which needs power=1: other scores are by latents of the prior, "
                "which do not say what is given"
            )
        check_density(options, "to score rows by")
        if options["latent_dim"] is None:
            options["latent_dim"] = min(LATENTS, codes.shape[1])
        if options["epochs"] is None:
            options["epochs"] = max(1, round(STEPS * options["batch_size"] / len(codes)))
        if options["likelihood"] == "auto" and self.container_.numeric and not np.isnan(codes).any():
            options = {"variance": "network"} | options | {"likelihood": "normal"}
        return options

    @alone
    def _nats(self, codes: Array) -> Array:
        """S_t of each row, ``[T, N]``, nats of the data as given."""
        fitted, seed = self.fitted_, self.seed_
        model, blocks, log_det = fitted.model(), fitted.blocks(codes), fitted.log_det

        def from_prior(t: float) -> Array:
            found = tempered_score(model, blocks, [t], PRIOR_DRAWS, log_det=log_det, seed=seed)
            return found[0].numpy()

        def log_px() -> Array:
            samples = self.importance_samples
            found = score(model, blocks, samples, log_det=log_det, seed=seed).log_px.numpy()
            # An encoder of numbers cannot read a row with missing cells; latents of the prior do without it.
            return np.where(np.isnan(found), from_prior(1.0), found) if np.isnan(found).any() else found

        powers = (1.0, 1 / fitted.size) if self.power is None else (self.power,)
        return np.stack([log_px() if t == 1 else from_prior(t) for t in powers])

    def _combine(self, nats: Array) -> Array:
        """The lower score of each row, ``[T, N] -> [N]``, in spreads where there are two."""
        scores = nats if self.power is not None else (nats - self.center_) / self.spread_
        lowest: Array = scores.min(axis=0)
        return lowest
