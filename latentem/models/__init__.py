"""Latent structures of any family; the normal distribution and factors; word alignment."""

from latentem.models.factor_analyzer import FactorAnalyzer, FactorParams
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.mixture import Mixture, MixtureParams
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_prior import NormalPrior
from latentem.models.parallel_text import ParallelText, WordPairs
from latentem.models.word_alignment import AlignmentParams, WordAlignment

__all__ = [
    "AlignmentParams",
    "FactorAnalyzer",
    "FactorParams",
    "HiddenMarkov",
    "HiddenMarkovParams",
    "Mixture",
    "MixtureParams",
    "MultivariateNormal",
    "NormalParams",
    "NormalPrior",
    "ParallelText",
    "WordAlignment",
    "WordPairs",
]
