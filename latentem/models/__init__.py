"""Latent structures: each takes any family."""

from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["HiddenMarkov", "HiddenMarkovParams", "Mixture", "MixtureParams"]
