"""Missing cells filled by a variational autoencoder, beside scikit-learn's imputers."""

from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted

from jensen.data.arrays import Array
from jensen.data.python import kind_of, to_arrow
from jensen.data.seeds import derive_seed
from jensen.errors import UserError
from jensen.estimator.base import VAEBase
from jensen.estimator.core import Fitted, alone, fit, settings_of
from jensen.evaluation.impute import impute, impute_draws

AVERAGE = 0.99
"""What each step leaves of the weights' moving average."""


class VAEImputer(TransformerMixin, VAEBase):
    """Fill missing cells from the posteriors of variational autoencoders, given the cells that are there.

    Training uses the bound on the observed cells (Mattei & Frellsen 2019): no row is dropped. Numbers get
    their posterior mean, categories their likeliest level; observed cells come back bit for bit.

    Several models are trained from different starts, and each has an equal part in what is filled
    (Lakshminarayanan, Pritzel & Blundell 2017). A completed table that is drawn is one model's, so that draws
    also differ by what is not known of the weights, as multiple imputation asks for (Rubin 1987, chapter 4).

    Args:
        n_estimators: how many models; ``history_`` and ``n_iter_`` are the first one's.
        missing_values: what a missing cell of an array is; in frames, what the frame calls missing.
        sample_posterior: draw missing cells instead, for multiple imputation: transform several times with
            different ``random_state``, or call `draw`.
        add_indicator: append a column for each column that had missing cells when fitted.
        keep_empty_features: keep columns of an array without any value when fitted, filled with 0.
        latent_dim: M; None for half as many as there are columns, from 8 to 16.
        hidden: widths of the hidden layers; few, since tables to be filled are often small.
        posterior: family of q(z | x); "experts" starts at factor analysis, exact whatever cells are missing.
        prior: family of p(z).
        bound: what training maximises; "iwae" with ``num_samples`` for MIWAE.
        num_samples: latent samples of each row in training, K of the bound.
        epochs: passes over the data, at most.
        max_time: seconds of training, at most, of all models together.
        patience: epochs without a better validation bound after which training stops.
        batch_size: B; None for a seventh of the rows, from 16 to 128.
        lr: learning rate.
        importance_samples: K for each row.
        random_state: seed, generator or None.
        options: any other setting of ``jensen train``, by name.
    """

    _batches = 7  # training starts at a good model: fewer, less noisy steps

    def __init__(
        self,
        *,
        n_estimators: int = 3,
        missing_values: float = np.nan,
        sample_posterior: bool = False,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        latent_dim: int | None = None,
        hidden: tuple[int, ...] = (64, 64),
        posterior: str = "experts",
        prior: str = "standard",
        bound: str = "elbo",
        num_samples: int = 1,
        epochs: int = 200,
        max_time: float | None = None,
        patience: int = 30,
        batch_size: int | None = None,
        lr: float = 4e-3,
        importance_samples: int = 200,
        random_state: Any = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.missing_values = missing_values
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.posterior = posterior
        self.prior = prior
        self.bound = bound
        self.num_samples = num_samples
        self.epochs = epochs
        self.max_time = max_time
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr
        self.importance_samples = importance_samples
        self.random_state = random_state
        self.options = options

    def fit(self, X: Any, y: Any = None) -> "VAEImputer":
        """Learn from the cells that are there.

        Raises:
            ValueError: X cannot be used, or a parameter; the message says how to mend it.
        """
        if not isinstance(self.n_estimators, int | np.integer) or self.n_estimators < 1:
            raise UserError(f"n_estimators is {self.n_estimators!r}; give a whole number of at least 1")
        X = self._marked(X)
        codes = self._fit(X)
        self.estimators_ = [self.fitted_, *self._others(codes)]
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(self._array(X))
        return self

    @alone
    def _others(self, codes: Array) -> list[Fitted]:
        """Models of other starts, whose seeds also choose the rows for validation."""
        settings = settings_of(self._options(codes), self.seed_)
        seeds = [derive_seed(self.seed_, "start", number) for number in range(1, self.n_estimators)]
        return [fit(codes, self.container_.schema, settings.replace(seed=seed)) for seed in seeds]

    @alone
    def transform(self, X: Any) -> Any:
        """X with its missing cells filled; a frame comes back as a frame."""
        check_is_fitted(self, "fitted_")
        given = self._marked(X)
        codes = self._codes(given, reset=False)
        if self.sample_posterior:
            return self._filled(given, self._draws(codes, 1)[0])
        discrete = torch.tensor([not column.numeric for column in self.container_.schema.modelled])
        x = impute(
            [fitted.model() for fitted in self.estimators_],
            self.fitted_.blocks(codes),
            discrete,
            num_samples=self.importance_samples,
            seed=self.seed_,
        )
        return self._filled(given, x.numpy())

    def draw(self, X: Any, n_draws: int = 5) -> list[Any]:
        """``n_draws`` copies of X, each with its missing cells drawn from the posterior (Rubin 1987)."""
        check_is_fitted(self, "fitted_")
        given = self._marked(X)
        codes = self._codes(given, reset=False)
        return [self._filled(given, x) for x in self._draws(codes, n_draws)]

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """The names of the columns of `transform`."""
        check_is_fitted(self, "fitted_")
        names = getattr(self, "feature_names_in_", input_features)
        if names is None:
            names = [column.name for column in self.container_.schema.columns]
            names = [f"x{i}" for i in range(len(names))] if self.container_.kind == "pandas" else names
        kept = np.asarray(names, dtype=object)[self._kept]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    @property
    def _kept(self) -> Array:
        """Which columns stay: all of a frame; of an array, those that had a value."""
        columns = self.container_.schema.columns
        if self.container_.kind != "array" or self.keep_empty_features:
            return np.arange(len(columns))
        return np.array([i for i, c in enumerate(columns) if c.modelled or c.constant is not None], dtype=int)

    def _options(self, codes: Array) -> dict[str, Any]:
        options = super()._options(codes)
        if options["latent_dim"] is None:
            options["latent_dim"] = int(np.clip(codes.shape[1] // 2, 8, 16))
        options.setdefault("average", AVERAGE)
        if options["max_time"] is not None:
            options["max_time"] /= self.n_estimators
        if np.isnan(codes).any(1).mean() >= 0.5:
            options.setdefault("hide", 0.0)  # such rows teach the encoder to read incomplete ones themselves
        return options

    def _marked(self, X: Any) -> Any:
        """X with NaN where an array has ``missing_values``."""
        if kind_of(X) != "array" or (
            isinstance(self.missing_values, float) and np.isnan(self.missing_values)
        ):
            return X
        X = np.array(X, dtype=np.float64)
        if np.isnan(X).any():
            raise UserError(
                f"X has NaN, and missing_values is {self.missing_values}; mark missing cells one way"
            )
        X[self.missing_values == X] = np.nan
        return X

    def _array(self, X: Any) -> Array:
        """Where X is missing, as an array with NaN there, its columns as when fitted."""
        if kind_of(X) == "array":
            return np.asarray(X, dtype=np.float64)
        columns = to_arrow(X).select([column.name for column in self.container_.schema.columns])
        missing = [column.is_null(nan_is_null=True).to_numpy() for column in columns]
        return np.where(np.stack(missing, axis=1), np.nan, 0.0)

    @alone
    def _draws(self, codes: Array, n_draws: int) -> Array:
        models = [fitted.model() for fitted in self.estimators_]
        blocks, k = self.fitted_.blocks(codes), self.importance_samples
        return impute_draws(models, blocks, n_draws, num_samples=k, seed=self.seed_).numpy()

    def _filled(self, X: Any, codes: Array) -> Any:
        """X with its missing cells, and nothing else, from complete codes."""
        decoded = self.container_.decode(codes)
        if self.indicator_ is None:
            indicators = np.zeros((len(codes), 0))
        else:
            indicators = self.indicator_.transform(self._array(X)).astype(np.float64)
        if kind_of(X) != "array":
            return self._filled_frame(X, decoded, indicators)
        X = np.array(X, dtype=np.float64)
        new = np.where(np.isnan(decoded), 0.0, decoded)
        return np.hstack([np.where(np.isnan(X), new, X)[:, self._kept], indicators])

    def _filled_frame(self, X: Any, decoded: Any, indicators: Array) -> Any:
        """A frame filled, with the columns ``[N, I]`` of indicators after its own."""
        labels = self.container_.labels or [column.name for column in self.container_.schema.columns]
        numbers = [] if self.indicator_ is None else self.indicator_.features_
        names = [f"missingindicator_{labels[number]}" for number in numbers]
        if kind_of(X) == "pandas":
            decoded.index = X.index
            filled = X.copy()
            for name in X.columns:
                if X[name].isna().any():
                    filled[name] = _filled_series(X[name], decoded[name])
            for name, column in zip(names, indicators.T, strict=True):
                filled[name] = column
            return filled
        from jensen.data.tables.filling import fill_table

        filled = fill_table(to_arrow(X), to_arrow(decoded), self.container_.schema)
        for name, column in zip(names, indicators.T, strict=True):
            filled = filled.append_column(name, [column])
        if kind_of(X) == "polars":
            import polars

            return polars.from_arrow(filled)
        return filled


def _filled_series(cells: Any, new: Any) -> Any:
    """A column of pandas with its missing cells from ``new``; their categories join its own."""
    if cells.dtype == "category":
        used = new[cells.isna()].dropna().unique()
        cells = cells.cat.add_categories([level for level in used if level not in cells.cat.categories])
    return cells.where(cells.notna(), new.astype(cells.dtype))
