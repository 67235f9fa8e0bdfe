"""Latent structures: mixtures, chains, normal data, factors, words, votes, images, states."""

from latentem.models.dawid_skene import DawidSkene, DawidSkeneParams, Votes
from latentem.models.factor_analyzer import FactorAnalyzer, FactorParams
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.image_prior import ImagePrior, IntensityPrior, SmoothnessPrior
from latentem.models.mixture import Mixture, MixtureParams
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_prior import NormalPrior
from latentem.models.parallel_text import ParallelText, WordPairs
from latentem.models.poisson_linear import Image, Measurements, PoissonLinear
from latentem.models.state_space import LinearGaussian, LinearGaussianParams
from latentem.models.word_alignment import AlignmentParams, WordAlignment

__all__ = [
    "AlignmentParams",
    "DawidSkene",
    "DawidSkeneParams",
    "FactorAnalyzer",
    "FactorParams",
    "HiddenMarkov",
    "HiddenMarkovParams",
    "Image",
    "ImagePrior",
    "IntensityPrior",
    "LinearGaussian",
    "LinearGaussianParams",
    "Measurements",
    "Mixture",
    "MixtureParams",
    "MultivariateNormal",
    "NormalParams",
    "NormalPrior",
    "ParallelText",
    "PoissonLinear",
    "SmoothnessPrior",
    "Votes",
    "WordAlignment",
    "WordPairs",
]
