"""What the three estimators share: parameters and checks of X."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jensen.data.arrays import Array
from jensen.data.python import as_rows, kind_of
from jensen.errors import UserError
from jensen.estimator.containers import Container
from jensen.estimator.core import Fitted, alone, fit, settings_of

OPTIONS = (
    "latent_dim",
    "hidden",
    "likelihood",
    "posterior",
    "prior",
    "bound",
    "num_samples",
    "epochs",
    "max_time",
    "patience",
    "batch_size",
    "lr",
    "validation_fraction",
)
"""Parameters that are settings of the same names; ``options`` may hold any other."""
BY_COLUMN = ("auto", "columns")
"""Likelihoods that treat each column by its type; all others are of numbers."""


class VAEBase(BaseEstimator):
    """A variational autoencoder behind scikit-learn's interface."""

    fitted_: Fitted
    container_: Container
    seed_: int
    _batches = 20
    """Batches of a pass over few rows, where ``batch_size`` is left out."""

    @alone
    def _fit(self, X: Any, before: Fitted | None = None, *, epochs: int | None = None) -> Array:
        """Check ``X``, train on it, and give its codes."""
        codes = self._codes(X, reset=before is None)
        options = self._options(codes)
        if epochs is not None:
            options["epochs"] = epochs
        if before is None:
            random_state = self.random_state
            if isinstance(random_state, int | np.integer):
                self.seed_ = int(random_state)
            else:
                self.seed_ = int(check_random_state(random_state).randint(2**31 - 1))
        settings = settings_of(options, self.seed_)
        self.fitted_ = fit(codes, self.container_.schema, settings, before)
        self.history_ = self.fitted_.history
        self.n_iter_ = len(self.history_)
        return codes

    def _options(self, codes: Array) -> dict[str, Any]:
        """The settings of a fit to ``codes``: parameters, and ``options`` above them."""
        options = {name: getattr(self, name) for name in OPTIONS if hasattr(self, name)}
        options |= dict(getattr(self, "options", None) or {})
        if options.get("batch_size") is None:
            options["batch_size"] = int(np.clip(len(codes) // self._batches, 16, 128))
        return options

    def _contain(self, X: Any) -> Container:
        """The container of the rows to fit."""
        return Container.of(X, numbers=getattr(self, "likelihood", "auto") not in BY_COLUMN)

    def _codes(self, X: Any, *, reset: bool) -> Array:
        """``X`` as codes ``[N, C]``, after scikit-learn's checks of names, numbers and shape.

        Raises:
            ValueError: no rows, one row to fit, infinite numbers, or other columns than were fitted.
        """
        if not reset:
            check_is_fitted(self, "fitted_")
        X = as_rows(X)
        if kind_of(X) != "array" and kind_of(X) != "pyarrow":
            validate_data(self, X, reset=reset, skip_check_array=True)
            if not len(X):
                raise ValueError(
                    f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required."
                )
        elif kind_of(X) == "array":
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                ensure_min_samples=2 if reset else 1,
            )
        if reset:
            self.container_ = self._contain(X)
            if not self.container_.schema.modelled:
                raise UserError(
                    "no column of X can be modelled: each is constant, empty, or names its rows; give one "
                    "that varies"
                )
        return self.container_.encode(X)

    def __sklearn_tags__(self) -> Any:
        """Missing values are data, and sparse matrices are made dense."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags
