"""Figures of fits, with matplotlib.

Each function draws into the Axes given as `ax`, or into a new figure, and returns
the Axes. None shows a figure or changes matplotlib's settings. Colours are those of
Okabe and Ito, which colour-blind readers can tell apart; components differ in marker
and line style as well.
"""

from latentem.plot.chains import forecast, residuals, states, transitions
from latentem.plot.fits import convergence, selection
from latentem.plot.links import alignment
from latentem.plot.missing import overimpute, patterns
from latentem.plot.one_column import density
from latentem.plot.two_columns import ellipses

__all__ = [
    "alignment",
    "convergence",
    "density",
    "ellipses",
    "forecast",
    "overimpute",
    "patterns",
    "residuals",
    "selection",
    "states",
    "transitions",
]
