"""Latent structures of any family; the normal distribution and factors, with missing cells."""

from latentem.models.factor_analyzer import FactorAnalyzer, FactorParams
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.mixture import Mixture, MixtureParams
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_prior import NormalPrior

__all__ = [
    "FactorAnalyzer",
    "FactorParams",
    "HiddenMarkov",
    "HiddenMarkovParams",
    "Mixture",
    "MixtureParams",
    "MultivariateNormal",
    "NormalParams",
    "NormalPrior",
]
