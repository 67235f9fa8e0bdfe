"""Estimators with scikit-learn's face: thin, no mathematics."""

from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.mixture import MixtureModel

__all__ = ["GaussianMixture", "MixtureModel"]
