"""The scikit-learn face: estimators that fit in memory and work in pipelines and grid searches."""

from jensen.estimator.autoencoder import VariationalAutoencoder
from jensen.estimator.imputer import VAEImputer
from jensen.estimator.outliers import VAEOutlierDetector

__all__ = ["VAEImputer", "VAEOutlierDetector", "VariationalAutoencoder"]
