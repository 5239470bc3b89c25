"""What the three estimators share: parameters and checks of X."""

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jensen.data.arrays import Array
from jensen.data.domains import check_domain
from jensen.data.python import kind_of
from jensen.errors import UserError
from jensen.estimator.containers import Container
from jensen.estimator.core import Fitted, alone, fit, settings_of
from jensen.estimator.rows import as_rows
from jensen.estimator.words import in_python

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

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def unspoilt(fit: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The method ``fit``, which leaves the estimator as it was where it fails."""

    @functools.wraps(fit)
    def attempt(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        state = args[0].__dict__
        before = dict(state)
        try:
            return fit(*args, **kwargs)
        except BaseException:
            state.clear()
            state.update(before)
            raise

    return attempt


def check_density(options: Mapping[str, Any], purpose: str) -> None:
    """Refuse a point posterior where its density is needed, before anything is trained.

    Raises:
        UserError: what it is needed for, and what to give.
    """
    if options.get("posterior") == "point":
        raise UserError(
            f"the posterior is 'point', which has no density {purpose}; give another one, such as "
            "'diagonal', or leave it out"
        )


class VAEBase(BaseEstimator):
    """A variational autoencoder behind scikit-learn's interface."""

    fitted_: Fitted
    container_: Container
    seed_: int
    verbose: int
    importance_samples: int
    options: dict[str, Any] | None
    _batches = 20
    """Batches of a pass over few rows, where ``batch_size`` is left out."""

    def _check_parameters(self) -> None:
        """Refuse values of what are no settings of training, or no mapping of those.

        Raises:
            UserError: what was given, and what is allowed.
        """
        samples, options = self.importance_samples, self.options
        if not isinstance(samples, int | np.integer) or samples < 1:
            raise UserError(f"importance_samples is {samples!r}; give a whole number of at least 1")
        if not isinstance(options, Mapping | None):
            raise UserError(
                f"options is {options!r}; give a dict of settings by name, such as {{'activation': 'gelu'}}"
            )

    @alone
    def _fit(self, rows: Any, before: Fitted | None = None, *, epochs: int | None = None) -> Array:
        """Train on rows that `_checked` gave, and give their codes."""
        self._check_parameters()
        if before is None:
            self.container_ = self._contain(rows)
        codes = self.container_.encode(rows)
        if before is not None:
            self._check_domain(codes)
        options = self._options(codes)
        if epochs is not None:
            options["epochs"] = epochs
        if before is None:
            random_state = self.random_state
            if isinstance(random_state, int | np.integer):
                if random_state < 0:
                    raise UserError(f"random_state is {random_state}; give a whole number of at least 0")
                self.seed_ = int(random_state)
            else:
                self.seed_ = int(check_random_state(random_state).randint(2**31 - 1))
        settings = settings_of(options, self.seed_)
        self.fitted_ = fit(codes, self.container_.schema, settings, before, self._say)
        self.history_ = self.fitted_.history
        self.n_iter_ = len(self.history_)
        return codes

    @property
    def _say(self) -> Callable[[str], None] | None:
        """What is told of progress: standard error, if anything."""
        return functools.partial(print, file=sys.stderr, flush=True) if self.verbose else None

    def _options(self, codes: Array) -> dict[str, Any]:
        """The settings of a fit to ``codes``: parameters, and ``options`` above them."""
        options = {name: getattr(self, name) for name in OPTIONS if hasattr(self, name)}
        options |= dict(self.options or {})
        if options.get("network") == "linear":
            options.pop("hidden", None)  # which every estimator has, given or not
        if options.get("batch_size") is None:
            options["batch_size"] = int(np.clip(len(codes) // self._batches, 16, 128))
        return options

    def _contain(self, X: Any) -> Container:
        """The container of the rows to fit."""
        container = Container.of(X)
        by_column = getattr(self, "likelihood", "auto") in BY_COLUMN
        return container if by_column else container.as_numbers()

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """``X`` after scikit-learn's checks of names, numbers and shape: a frame, or an array of float64.

        After a fit to an array a frame is taken as one, its columns by their places; so is an array after a
        fit to a frame of numbers.

        Raises:
            ValueError: no rows, one row to fit, infinite numbers, or other columns than were fitted.
        """
        if not reset:
            check_is_fitted(self, "fitted_")
        X = as_rows(X)
        if kind_of(X) == "array" and not reset and self.container_.kind != "array":
            self.container_.check_array()
        if kind_of(X) == "array" or (not reset and self.container_.kind == "array"):
            return validate_data(
                self,
                X,
                reset=reset,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                ensure_min_samples=2 if reset else 1,
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        if not len(X):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required."
            )
        return X

    def _codes(self, rows: Any) -> Array:
        """Rows that `_checked` gave as codes ``[N, C]`` for the encoder.

        Raises:
            UserError: cells are missing, and the encoder reads complete rows only.
        """
        codes = self.container_.encode(rows)
        likelihood = self.fitted_.settings.likelihood
        if likelihood not in BY_COLUMN and np.isnan(codes).any():
            raise UserError(
                f"likelihood={likelihood!r} needs complete rows, and X has missing cells; fill them, or fit "
                "without likelihood: that of columns models what is there"
            )
        self._check_domain(codes)
        return codes

    def _check_domain(self, codes: Array) -> None:
        """Refuse numbers that the one likelihood of all columns cannot take; missing cells are none.

        Raises:
            UserError: how many, and the first of them.
        """
        preparation = self.fitted_.preparation
        if preparation.marginals is not None:
            return
        there = torch.from_numpy(np.where(np.isnan(codes), 0.0, codes))
        support, binarize, levels = preparation.support, preparation.binarize, preparation.value_range
        with in_python():
            check_domain(there, support, binarize, levels, name="X", trained=True)

    def __sklearn_tags__(self) -> Any:
        """Missing values are data, and sparse matrices are made dense."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags
