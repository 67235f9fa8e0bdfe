"""Latent-variable models fitted by expectation-maximisation.

The public names below are imported on first use, so that ``import latentem`` is
quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_PUBLIC = {
    "GaussianMixture": "estimators.gaussian_mixture",
    "MixtureModel": "estimators.mixture",
    "HMM": "estimators.hmm",
    "GaussianHMM": "estimators.gaussian_hmm",
    "GMMHMM": "estimators.gmm_hmm",
    "PoissonHMM": "estimators.count_hmm",
    "CategoricalHMM": "estimators.count_hmm",
    "FactorAnalyzer": "estimators.factor_analyzer",
    "LinearGaussianSSM": "estimators.state_space",
    "StateForecast": "estimators.state_space",
    "GaussianImputer": "estimators.imputer",
    "LatentClass": "estimators.latent_class",
    "DawidSkene": "estimators.dawid_skene",
    "SemiSupervisedNB": "estimators.naive_bayes",
    "WordAligner": "estimators.word_aligner",
    "symmetrize": "models.symmetrization",
    "alignment_error_rate": "estimators.pharaoh",
    "from_pharaoh": "estimators.pharaoh",
    "to_pharaoh": "estimators.pharaoh",
    "PoissonReconstruction": "estimators.reconstruction",
    "Tomography": "estimators.reconstruction",
    "Deconvolution": "estimators.reconstruction",
    "impute_multiple": "estimators.multiple_imputation",
    "Imputations": "estimators.multiple_imputation",
    "pool": "estimators.pooling",
    "Pooled": "estimators.pooling",
    "missing_patterns": "estimators.missing_patterns",
    "MissingPatterns": "estimators.missing_patterns",
    "Overimputation": "estimators.overimputation",
    "little_mcar_test": "estimators.little",
    "LittleTest": "estimators.little",
    "select": "engine.selection",
    "Selection": "engine.selection",
    "bootstrap_lrt": "engine.likelihood_ratio",
    "BootstrapLRT": "engine.likelihood_ratio",
    "standard_errors": "engine.standard_errors",
    "StandardErrors": "engine.estimates",
    "load": "estimators.storage",
    "EM": "engine.em",
    "EMResult": "engine.result",
    "CollapsedError": "engine.result",
    "History": "engine.result",
    "Reason": "engine.result",
    "State": "engine.result",
    "LatentModel": "engine.model",
    "Expectation": "engine.model",
    "How": "engine.model",
    "Diagnosis": "engine.model",
    "Family": "engine.family",
    "Rows": "engine.blocks",
    "Sequences": "engine.blocks",
    "left_right": "models.transitions",
    "Moments": "engine.moments",
    "Accelerator": "engine.acceleration",
    "Anderson": "engine.acceleration",
    "Squarem": "engine.acceleration",
    "Source": "engine.sources",
    "ArraySource": "engine.sources",
    "BlockSource": "engine.sources",
    "ParquetSource": "engine.parquet",
    "DaskBackend": "engine.dask_backend",
    "DaskSource": "engine.dask_backend",
    "SerialBackend": "engine.backends",
    "ThreadBackend": "engine.backends",
    "Bounded": "engine.constraints",
    "Equal": "engine.constraints",
    "Fixed": "engine.constraints",
    "Partly": "engine.constraints",
    "Positive": "engine.constraints",
    "PositiveDefinite": "engine.constraints",
    "Real": "engine.constraints",
    "Simplex": "engine.constraints",
    "Simplices": "engine.constraints",
    "CheckpointWarning": "engine.warnings",
    "ConvergenceWarning": "engine.warnings",
    "DegenerateComponentWarning": "engine.warnings",
    "ImpossibleRowWarning": "engine.warnings",
    "NotIdentifiedWarning": "engine.warnings",
}
_MODULES = ("datasets", "families", "models", "operators", "plot", "testing")

__all__ = sorted([*_PUBLIC, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"latentem.{_PUBLIC[name]}"), name)
    if name in _MODULES:
        return import_module(f"latentem.{name}")
    raise AttributeError(f"module 'latentem' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
