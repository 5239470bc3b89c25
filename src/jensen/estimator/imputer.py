"""Missing cells filled by a variational autoencoder, beside scikit-learn's imputers."""

from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from jensen.data.arrays import Array
from jensen.data.python import kind_of, to_arrow
from jensen.data.seeds import derive_seed
from jensen.errors import UserError
from jensen.estimator.base import VAEBase, check_density, unspoilt
from jensen.estimator.containers import with_columns
from jensen.estimator.core import Fitted, alone, fit, settings_of
from jensen.estimator.rows import check_marker, unmarked
from jensen.evaluation.impute import impute, impute_draws

AVERAGE = 0.99
"""What each step leaves of the weights' moving average."""


class VAEImputer(TransformerMixin, VAEBase):
    """Fill missing cells from the posteriors of variational autoencoders, given the cells that are there.

    Training uses the bound on the observed cells (Mattei & Frellsen 2019): no row is dropped. Numbers get
    their posterior mean, categories their likeliest level; observed cells come back bit for bit.

    Several models are trained from different starts, and have equal weight in what is filled
    (Lakshminarayanan, Pritzel & Blundell 2017). A completed table that is drawn comes from one of them, so
    that draws also differ by what is not known of the weights, as multiple imputation asks for (Rubin 1987,
    chapter 4).

    Args:
        n_estimators: the number of models; ``history_`` and ``n_iter_`` are those of the first.
        missing_values: the number that marks a missing cell of an array. In frames, missing is what the frame
            calls so, and another marker is refused.
        sample_posterior: draw missing cells instead, other ones at each call of `transform`: several calls
            are a multiple imputation, as `draw` is. The seed of `fit` decides all of them.
        add_indicator: append a column for each column that had missing cells when fitted.
        keep_empty_features: keep columns of an array without any value when fitted, filled with 0.
        latent_dim: M; None for half as many as there are columns, from 8 to 16.
        hidden: widths of the hidden layers; small ones, since tables to be filled often have few rows.
        posterior: family of q(z | x). "experts" starts as the exact posterior of factor analysis, whichever
            cells are missing.
        prior: family of p(z).
        bound: what training maximises; "iwae" with ``num_samples`` for MIWAE.
        num_samples: K, latent samples of each row in training.
        epochs: the largest number of passes over the data.
        max_time: the largest number of seconds of training, of all models together; None for no limit.
        patience: training stops after so many epochs without a better validation bound; 0: never.
        batch_size: B; None for a seventh of the rows, from 16 to 128.
        lr: learning rate.
        importance_samples: K, importance samples of each row.
        random_state: seed, RandomState or None: of the rows held out, the first weights and every draw.
        verbose: 1 to be told about once a second, on standard error, how far training is; 0 for silence.
        options: other settings of ``jensen train`` by name, such as ``{"activation": "gelu"}``; those of
            files, images and devices mean nothing for rows in memory, and are refused.
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
        verbose: int = 0,
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
        self.verbose = verbose
        self.options = options

    @unspoilt
    def fit(self, X: Any, y: Any = None) -> "VAEImputer":
        """Learn from the cells that are there.

        Raises:
            ValueError: X cannot be used, or a parameter; the message says how to mend it.
        """
        if not isinstance(self.n_estimators, int | np.integer) or self.n_estimators < 1:
            raise UserError(f"n_estimators is {self.n_estimators!r}; give a whole number of at least 1")
        rows = self._checked(X, reset=True)
        codes = self._fit(rows)
        self.estimators_ = [self.fitted_, *self._others(codes)]
        self.generator_ = np.random.Generator(np.random.PCG64(self.seed_))
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(self._array(rows))
        return self

    @alone
    def _others(self, codes: Array) -> list[Fitted]:
        """Models of other starts, whose seeds also choose the rows for validation."""
        settings = settings_of(self._options(codes), self.seed_)
        seeds = [derive_seed(self.seed_, "start", number) for number in range(1, self.n_estimators)]
        schema = self.container_.schema
        return [fit(codes, schema, settings.replace(seed=seed), say=self._say) for seed in seeds]

    @alone
    def transform(self, X: Any) -> Any:
        """X with its missing cells filled; a frame comes back as a frame.

        What a row gets does not depend on the rows beside it, unless ``sample_posterior`` draws it.

        Raises:
            ValueError: X cannot be used; the message says how to mend it.
        """
        rows = self._checked(X, reset=False)
        filled = self._filled(rows, self._filling(self._codes(rows)))
        asked = _get_output_config("transform", self)["dense"]
        # The one conversion that scikit-learn's set_output cannot do itself.
        return filled.to_pandas() if asked == "pandas" and kind_of(filled) == "pyarrow" else filled

    def _filling(self, codes: Array) -> Any:
        """Complete codes for `transform`: posterior means and likeliest levels, or draws of one model."""
        if self.sample_posterior:
            first, seed = self.generator_.integers([len(self.estimators_), 2**31])
            return self._draws(codes, 1, seed=int(seed), first=int(first))[0]
        discrete = torch.tensor([not column.numeric for column in self.container_.schema.modelled])
        x = impute(
            [fitted.model() for fitted in self.estimators_],
            self.fitted_.blocks(codes),
            discrete,
            num_samples=self.importance_samples,
            seed=self.seed_,
        )
        return x.numpy()

    def draw(self, X: Any, n_draws: int = 5) -> list[Any]:
        """``n_draws`` copies of X, each with its missing cells drawn from the posterior (Rubin 1987).

        The same ones at every call with the same X, after a fit with the same random_state. Rows draw
        independently of each other, also rows that are alike: what is drawn in a row depends on its place.

        Raises:
            ValueError: X cannot be used; the message says how to mend it.
        """
        rows = self._checked(X, reset=False)
        if not isinstance(n_draws, int | np.integer) or n_draws < 1:
            raise UserError(f"n_draws is {n_draws!r}; give a whole number of at least 1")
        return [self._filled(rows, x) for x in self._draws(self._codes(rows), n_draws, seed=self.seed_)]

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """The names of the columns of `transform`.

        Raises:
            ValueError: ``input_features`` are not the names of the columns fitted, or not as many.
        """
        check_is_fitted(self, "fitted_")
        names = _check_feature_names_in(self, input_features)
        if input_features is None and self.container_.kind == "pyarrow":  # scikit-learn reads no names there
            names = [column.name for column in self.container_.schema.columns]
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
        check_density(options, "to weigh what is filled in by")
        if options["latent_dim"] is None:
            options["latent_dim"] = int(np.clip(codes.shape[1] // 2, 8, 16))
        options.setdefault("average", AVERAGE)
        if options["max_time"] is not None:
            options["max_time"] /= self.n_estimators
        if np.isnan(codes).any(1).mean() >= 0.5:
            options.setdefault("hide", 0.0)  # such rows teach the encoder to read incomplete ones themselves
        return options

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """What the base class gives, with NaN where an array has ``missing_values``."""
        check_marker(self.missing_values)
        return unmarked(super()._checked(X, reset=reset), self.missing_values)

    def _array(self, rows: Any) -> Array:
        """Rows as an array with NaN where they miss cells, its columns as when fitted."""
        if kind_of(rows) == "array":
            return np.asarray(rows)
        columns = to_arrow(rows).select([column.name for column in self.container_.schema.columns])
        missing = [column.is_null(nan_is_null=True).to_numpy() for column in columns]
        return np.where(np.stack(missing, axis=1), np.nan, 0.0)

    @alone
    def _draws(self, codes: Array, n_draws: int, *, seed: int, first: int = 0) -> Array:
        """Complete codes ``[n_draws, N, C]``, each of the next model, from the one of number ``first`` on."""
        models = [fitted.model() for fitted in (*self.estimators_[first:], *self.estimators_[:first])]
        blocks, k = self.fitted_.blocks(codes), self.importance_samples
        return impute_draws(models, blocks, n_draws, num_samples=k, seed=seed).numpy()

    def _filled(self, rows: Any, codes: Array) -> Any:
        """Rows with their missing cells, and nothing else, from complete codes; then the indicators."""
        filled = self.container_.fill(rows, codes)
        numbers, indicators = [], np.zeros((len(codes), 0))
        if self.indicator_ is not None:
            numbers = self.indicator_.features_
            indicators = self.indicator_.transform(self._array(rows)).astype(np.float64)
        if kind_of(filled) == "array":
            return np.hstack([np.where(np.isnan(filled), 0.0, filled)[:, self._kept], indicators])
        labels = self.container_.labels or [column.name for column in self.container_.schema.columns]
        names = [f"missingindicator_{labels[number]}" for number in numbers]
        return with_columns(filled, dict(zip(names, indicators.T, strict=True)))
