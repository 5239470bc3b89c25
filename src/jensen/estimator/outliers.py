"""Outliers: rows that are unlikely under the model."""

from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from jensen.data.arrays import Array
from jensen.errors import UserError
from jensen.estimator.base import VAEBase
from jensen.evaluation.score import score as score_rows


class VAEOutlierDetector(OutlierMixin, VAEBase):
    """Rows are outliers when their log p(x) is low.

    Args:
        contamination: the share of outliers among the rows fitted, in (0, 0.5]; it sets the threshold only.
        latent_dim: M.
        hidden: widths of the hidden layers.
        likelihood: the decoder's family; see `jensen.VariationalAutoencoder`.
        epochs: passes over the data, at most.
        max_time: seconds of training, at most.
        patience: epochs without a better validation bound after which training stops.
        batch_size: B; None for a twentieth of the rows, from 16 to 128: few rows need many steps.
        lr: learning rate.
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
        latent_dim: int = 4,
        hidden: tuple[int, ...] = (64, 64),
        likelihood: str = "auto",
        epochs: int = 50,
        max_time: float | None = None,
        patience: int = 10,
        batch_size: int | None = None,
        lr: float = 1e-3,
        importance_samples: int = 50,
        random_state: Any = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.contamination = contamination
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
        codes = self._fit(X)
        self.offset_ = float(np.percentile(self._scores(codes), 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row, ``[N]``, nats of the data as given: the lower, the more an outlier."""
        check_is_fitted(self, "fitted_")
        return self._scores(self._codes(X, reset=False))

    def decision_function(self, X: Any) -> Array:
        """``score_samples(X) - offset_``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """-1 for outliers and 1 for others, ``[N]``."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _scores(self, codes: Array) -> Array:
        fitted = self.fitted_
        model, blocks = fitted.model(), fitted.blocks(codes)
        found = score_rows(model, blocks, self.importance_samples, log_det=fitted.log_det, seed=self.seed_)
        return found.log_px.numpy()
