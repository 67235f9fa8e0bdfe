"""Small real data sets with their provenance, and simulated ones.

Each loader returns a `Dataset`: the rows, the names of the columns, where the data
come from, and weights where the data are a table of frequencies. Text and its
translation is a `ParallelSentences`.
"""

from latentem.datasets.bundled import (
    load_airquality,
    load_anaesthetists,
    load_apple,
    load_cement_missing,
    load_cholesterol,
    load_earthquakes,
    load_faithful,
    load_galaxies,
    load_lsat6,
    load_nile,
    load_times_deaths,
)
from latentem.datasets.dataset import Dataset
from latentem.datasets.parallel import ParallelSentences, load_django_messages
from latentem.datasets.simulated import concrete_section, two_gaussians

__all__ = [
    "Dataset",
    "ParallelSentences",
    "concrete_section",
    "load_airquality",
    "load_anaesthetists",
    "load_apple",
    "load_cement_missing",
    "load_cholesterol",
    "load_django_messages",
    "load_earthquakes",
    "load_faithful",
    "load_galaxies",
    "load_lsat6",
    "load_nile",
    "load_times_deaths",
    "two_gaussians",
]
