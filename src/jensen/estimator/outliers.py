"""Outliers: rows that the model explains badly."""

from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from jensen.data.arrays import Array
from jensen.errors import UserError
from jensen.estimator.base import BY_COLUMN, VAEBase
from jensen.estimator.containers import Container
from jensen.estimator.core import alone
from jensen.evaluation.score import score as score_rows
from jensen.evaluation.tempered import tempered_score
from jensen.scores import log_prob_of_columns

STEPS = 500
"""Gradient steps where ``epochs`` is left out: enough for a small network, too few to learn rare rows."""


class VAEOutlierDetector(OutlierMixin, VAEBase):
    """Rows are outliers when they are unlikely, and when latents that are common explain them badly.

    The score is the mean of log p(x) and of its tempered form ``(1/t) log E_{z ~ p(z)} p(x | z)^t``, which is
    log p(x) at t = 1. A smaller t makes rare latents dear, so that outliers among the rows fitted, to which a
    VAE gives a corner of its latents, are still seen (docs/anomalies.md compares).

    Args:
        contamination: the share of outliers among the rows fitted, in (0, 0.5]; it sets the threshold only.
        power: t, above 0; None for one over the number of columns; 1 for log p(x) alone, by importance
            sampling.
        latent_dim: M.
        hidden: widths of the hidden layers.
        likelihood: the decoder's family; "auto" for a normal one with mean and variance from the network
            where all columns are numbers and complete, and one by the type of each column elsewhere.
        epochs: passes over the data, at most; None for about 500 gradient steps.
        max_time: seconds of training, at most.
        patience: epochs without a better validation bound after which training stops; 0: never.
        batch_size: B; None for a twentieth of the rows, from 16 to 128: few rows need many steps.
        lr: learning rate, from which it falls to zero.
        importance_samples: K of the scores.
        random_state: seed, generator or None.
        options: any other setting of ``jensen train``, by name.

    Attributes:
        offset_: the score below which a row is an outlier.
    """

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        power: float | None = None,
        latent_dim: int = 2,
        hidden: tuple[int, ...] = (32,),
        likelihood: str = "auto",
        epochs: int | None = None,
        max_time: float | None = None,
        patience: int = 0,
        batch_size: int | None = None,
        lr: float = 3e-3,
        importance_samples: int = 1000,
        random_state: Any = None,
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
        self.options = options

    def fit(self, X: Any, y: Any = None) -> "VAEOutlierDetector":
        """Train on X, and set the threshold that calls a share ``contamination`` of its rows outliers.

        Raises:
            ValueError: X cannot be used, or a parameter; the message says how to mend it.
        """
        if not 0 < self.contamination <= 0.5:
            raise UserError(f"contamination is {self.contamination}; give a share above 0 and up to 0.5")
        if self.power is not None and not 0 < self.power <= 1:
            raise UserError(f"power is {self.power}; give a number above 0 and up to 1, or None")
        codes = self._fit(X)
        self.offset_ = float(np.percentile(self._scores(codes), 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> Array:
        """The score of each row, ``[N]``, nats of the data as given: the lower, the more an outlier."""
        check_is_fitted(self, "fitted_")
        return self._scores(self._codes(X, reset=False))

    def decision_function(self, X: Any) -> Array:
        """``score_samples(X) - offset_``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """-1 for outliers and 1 for others, ``[N]``."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _contain(self, X: Any) -> Container:
        """Columns as numbers where all are, and complete, or where a likelihood of numbers is given."""
        container = Container.of(X, numbers=True)
        if self.likelihood not in BY_COLUMN:
            return container
        complete = container.numeric and not np.isnan(container.encode(X)).any()
        return container if complete and self.likelihood == "auto" else Container.of(X)

    def _options(self, codes: Array) -> dict[str, Any]:
        options = {"lr_schedule": "cosine"} | super()._options(codes)
        if options["epochs"] is None:
            options["epochs"] = max(1, round(STEPS * options["batch_size"] / len(codes)))
        if options["likelihood"] == "auto" and self.container_.numeric and not np.isnan(codes).any():
            options = {"variance": "network"} | options | {"likelihood": "normal"}
        return options

    @alone
    def _scores(self, codes: Array) -> Array:
        fitted, k = self.fitted_, self.importance_samples
        model, blocks = fitted.model(), fitted.blocks(codes)
        if self.power == 1:
            found = score_rows(model, blocks, k, log_det=fitted.log_det, seed=self.seed_).log_px
        else:
            powers = (self.power or 1 / fitted.size, 1.0)
            found = tempered_score(
                model, blocks, powers, log_prob_of_columns, k, log_det=fitted.log_det, seed=self.seed_
            ).mean(0)
        return found.numpy()
