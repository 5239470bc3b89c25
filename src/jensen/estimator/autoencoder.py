"""The variational autoencoder as a transformer, a density and a generator."""

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from jensen.data.arrays import Array
from jensen.errors import UserError
from jensen.estimator.base import VAEBase, unspoilt
from jensen.estimator.core import alone
from jensen.evaluation import encode, reconstruct, sample
from jensen.evaluation.score import score


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, VAEBase):
    """A variational autoencoder: latent codes, log p(x) in nats, and new rows, from one model.

    X is an array, a tensor, a sparse matrix or a frame (pandas, polars, pyarrow). The columns of a frame may
    be numbers, categories and dates; cells may be missing (NaN or null). Types are inferred as by
    ``jensen train``, each column gets a likelihood of its own, and log p(x) is in nats of the data as given.

    Args:
        latent_dim: M, the number of latent dimensions; of categorical latents, the number of variables.
        hidden: widths of the hidden layers.
        likelihood: "auto" for a distribution of each column by its type; or one family for all of them, such
            as "normal", which takes numbers without missing cells.
        posterior: family of q(z | x).
        prior: family of p(z).
        bound: what training maximises.
        num_samples: K, latent samples of each row in training.
        epochs: the largest number of passes over the data.
        max_time: the largest number of seconds of training; None for no limit.
        patience: training stops after so many epochs without a better validation bound; 0: never.
        batch_size: B; None for a twentieth of the rows, from 16 to 128: few rows need many steps.
        lr: learning rate.
        validation_fraction: share of the rows held out to choose the best epoch (from 20 rows on).
        importance_samples: K, importance samples of each row in `score_samples`.
        warm_start: `fit` goes on from the weights of the last fit. Parameters of the model and of what it
            reads must then stay as they were.
        random_state: seed, RandomState or None: of the rows held out, the first weights and every draw.
        verbose: 1 to be told about once a second, on standard error, how far training is; 0 for silence.
        options: other settings of ``jensen train`` by name, such as ``{"activation": "gelu"}``; those of
            files, images and devices mean nothing for rows in memory, and are refused.

    Attributes:
        history_: a record of each epoch, with the bounds on training and validation rows in nats.
        n_iter_: the number of epochs trained.
        n_features_in_: the number of columns of X.
        feature_names_in_: the names of the columns, where X had names.
    """

    def __init__(
        self,
        latent_dim: int = 8,
        *,
        hidden: tuple[int, ...] = (200, 200),
        likelihood: str = "auto",
        posterior: str = "diagonal",
        prior: str = "auto",
        bound: str = "auto",
        num_samples: int = 1,
        epochs: int = 200,
        max_time: float | None = None,
        patience: int = 30,
        batch_size: int | None = None,
        lr: float = 1e-3,
        validation_fraction: float = 0.1,
        importance_samples: int = 100,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.likelihood = likelihood
        self.posterior = posterior
        self.prior = prior
        self.bound = bound
        self.num_samples = num_samples
        self.epochs = epochs
        self.max_time = max_time
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.importance_samples = importance_samples
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.options = options

    @unspoilt
    def fit(self, X: Any, y: Any = None) -> "VariationalAutoencoder":
        """Train on the rows of X; y is not used.

        Raises:
            ValueError: X cannot be used, or a parameter; the message says how to mend it.
        """
        before = self.fitted_ if self.warm_start and hasattr(self, "fitted_") else None
        self._fit(self._checked(X, reset=before is None), before)
        return self

    @unspoilt
    def partial_fit(self, X: Any, y: Any = None) -> "VariationalAutoencoder":
        """Train for one pass over the rows of X, going on from earlier calls; y is not used.

        Scales and categories are those of the rows that were fitted first.

        Raises:
            ValueError: X cannot be used, or a parameter; the message says how to mend it.
        """
        before = getattr(self, "fitted_", None)
        self._fit(self._checked(X, reset=before is None), before, epochs=1)
        return self

    @alone
    def transform(self, X: Any) -> Array:
        """Posterior means E[z | x], ``[N, M]``.

        Of categorical latents they are the probabilities of the classes, ``[N, M * categories]``.

        Raises:
            ValueError: X cannot be used; the message says how to mend it.
        """
        codes = self._codes(self._checked(X, reset=False))
        return encode(self.fitted_.model(), self.fitted_.blocks(codes)).mean.numpy()

    def inverse_transform(self, X: Any) -> Any:
        """E[x | z] of codes as `transform` gives them (of categories, the likeliest level), as rows like X.

        Raises:
            ValueError: the codes have another shape, or X was fitted under a ``condition``, of which a code
                does not say.
        """
        check_is_fitted(self, "fitted_")
        if given := self.fitted_.settings.condition:
            raise UserError(
                f"X was fitted under the condition {', '.join(given)}, of which a latent code does not say; "
                "fit without 'condition' in options to decode codes"
            )
        z = torch.from_numpy(np.array(X, dtype=np.float64))
        if z.dim() != 2 or z.shape[1] != self._n_features_out:
            raise UserError(f"the codes have shape {tuple(z.shape)}; give [N, {self._n_features_out}]")
        return self._rows(reconstruct(self.fitted_.model().decoder, z), mean=True)

    @alone
    def sample(self, n_samples: int = 1) -> Any:
        """New rows, drawn from p(x), as rows like X: the same at every call after a fit.

        Raises:
            ValueError: ``n_samples`` is no whole number of at least 1.
        """
        check_is_fitted(self, "fitted_")
        if not isinstance(n_samples, int | np.integer) or n_samples < 1:
            raise UserError(f"n_samples is {n_samples!r}; give a whole number of at least 1")
        return self._rows(sample(self.fitted_.model(), n_samples, seed=self.seed_))

    @alone
    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row, ``[N]``, nats of the data as given; larger is likelier.

        The importance-weighted estimate (Burda, Grosse & Salakhutdinov 2016, eq. 8) with K =
        ``importance_samples``, a lower bound in expectation. Of a row with missing cells it is log p of the
        cells that are there. The noise is the same at every call and for every row.

        Raises:
            ValueError: X cannot be used, or the posterior has no density; the message says how to mend it.
        """
        codes = self._codes(self._checked(X, reset=False))
        fitted = self.fitted_
        if fitted.settings.posterior == "point":
            raise UserError(
                "posterior='point' has no density, and so the model no log p(x); fit with another posterior, "
                "such as 'diagonal'"
            )
        model, blocks = fitted.model(), fitted.blocks(codes)
        found = score(model, blocks, self.importance_samples, log_det=fitted.log_det, seed=self.seed_)
        return found.log_px.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples` over the rows of X."""
        return float(self.score_samples(X).mean())

    def _rows(self, x: torch.Tensor, *, mean: bool = False) -> Any:
        given = self.fitted_.preparation.invert(x.double(), mean=mean)
        return self.container_.decode(given.numpy())

    @property
    def _n_features_out(self) -> int:
        """Numbers of a latent code, for scikit-learn's names of them."""
        return self.fitted_.latents
