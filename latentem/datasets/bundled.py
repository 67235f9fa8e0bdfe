"""The data sets that come with latentem, one loader each.

Every call reads the file again and returns arrays of its own.
"""

from __future__ import annotations

from latentem.datasets.dataset import Dataset, read

__all__ = [
    "load_airquality",
    "load_anaesthetists",
    "load_apple",
    "load_cement_missing",
    "load_cholesterol",
    "load_earthquakes",
    "load_faithful",
    "load_galaxies",
    "load_lsat6",
    "load_nile",
    "load_times_deaths",
]

LITTLE_RUBIN = (
    "Little, R. J. A. and Rubin, D. B. (1987), Statistical Analysis with Missing Data, Wiley"
)


def load_faithful() -> Dataset:
    """Eruptions of the Old Faithful geyser, 272 rows, 2 columns.

    Duration of an eruption and waiting time to the next, both in minutes;
    Yellowstone National Park, August 1985.

    Source: Azzalini, A. and Bowman, A. W. (1990), A look at some data on the Old
    Faithful geyser, Applied Statistics 39, 357-365, doi:10.2307/2347385; the version
    distributed with R.

    Examples
    --------
    >>> from latentem.datasets import load_faithful
    >>> load_faithful()
    Dataset(272 rows; 2 columns: eruptions, waiting)
    """
    return read(
        "faithful",
        "Old Faithful geyser: duration of an eruption and waiting time to the next.",
        "Azzalini and Bowman (1990), Applied Statistics 39, 357-365, doi:10.2307/2347385",
        units=("min", "min"),
    )


def load_galaxies() -> Dataset:
    """Velocities of 82 galaxies, in 1000 km/s.

    Galaxies of six conic sections of the Corona Borealis region, moving away from our
    own. Clusters of velocities are superclusters with voids between them.

    Sources: Postman, M., Huchra, J. P. and Geller, M. J. (1986), Astronomical Journal
    92, 1238-1247; Roeder, K. (1990), Journal of the American Statistical Association
    85, 617-624. These are the numbers of the R package MASS divided by 1000, on which
    the published fits rest; the 78th is 26.690 there and 26.960 in the paper.

    Examples
    --------
    >>> from latentem.datasets import load_galaxies
    >>> load_galaxies().labels
    ('velocity (1000 km/s)',)
    """
    return read(
        "galaxies",
        "Velocities of 82 galaxies of the Corona Borealis region.",
        "Postman, Huchra and Geller (1986), Astronomical Journal 92, 1238-1247; "
        "Roeder (1990), Journal of the American Statistical Association 85, 617-624",
        units=("1000 km/s",),
    )


def load_times_deaths() -> Dataset:
    """Deaths of women aged 80 and over, by day, in The Times of London.

    On how many of 1096 days of 1910 to 1912 the newspaper carried 0, 1, ..., 9 such
    death notices: 10 rows, the days as weights. One Poisson does not fit, two do
    (summer and winter).

    Source: Hasselblad, V. (1969), Estimation of finite mixtures of distributions from
    the exponential family, Journal of the American Statistical Association 64,
    1459-1471, doi:10.1080/01621459.1969.10501071.

    Examples
    --------
    >>> from latentem.datasets import load_times_deaths
    >>> load_times_deaths()
    Dataset(10 rows; 1 column: deaths; weights sum to 1096)
    """
    return read(
        "times_deaths",
        "Death notices of women aged 80 and over per day, and the number of such days.",
        "Hasselblad (1969), Journal of the American Statistical Association 64, 1459-1471, "
        "doi:10.1080/01621459.1969.10501071",
        units=("per day",),
        weights="days",
    )


def load_lsat6() -> Dataset:
    """Answers of 1000 people to five questions of the Law School Admission Test.

    All 32 patterns of right (1) and wrong (0), the number of people with each as
    weights; three patterns were not seen and have weight 0.

    Source: Bock, R. D. and Lieberman, M. (1970), Fitting a response model for n
    dichotomously scored items, Psychometrika 35, 179-197.

    Examples
    --------
    >>> from latentem.datasets import load_lsat6
    >>> float(load_lsat6().weights.sum())
    1000.0
    """
    return read(
        "lsat6",
        "Law School Admission Test, section 6: patterns of five right or wrong answers.",
        "Bock and Lieberman (1970), Psychometrika 35, 179-197",
        weights="count",
    )


def load_earthquakes() -> Dataset:
    """Earthquakes of magnitude 7 and over in the world, by year, 1900 to 2006.

    107 rows: the year and the count. ``load_earthquakes()[["count"]]`` is the series
    that hidden Markov models are fitted to.

    Source: Zucchini, W. and MacDonald, I. L. (2009), Hidden Markov Models for Time
    Series, Chapman and Hall/CRC.

    Examples
    --------
    >>> from latentem.datasets import load_earthquakes
    >>> load_earthquakes()["count"][:3].tolist()
    [13.0, 14.0, 8.0]
    """
    return read(
        "earthquakes",
        "Number of earthquakes of magnitude 7 and over in the world, by year.",
        "Zucchini and MacDonald (2009), Hidden Markov Models for Time Series, CRC",
        units=("", "per year"),
    )


def load_nile() -> Dataset:
    """Annual flow of the Nile at Aswan, 1871 to 1970, in 10^8 cubic metres.

    100 rows: the flow and the year. The level falls near 1898.

    Source: Cobb, G. W. (1978), The problem of the Nile: conditional solution to a
    changepoint problem, Biometrika 65, 243-251, doi:10.1093/biomet/65.2.243.

    Examples
    --------
    >>> from latentem.datasets import load_nile
    >>> float(load_nile()["flow"].mean())
    919.35
    """
    return read(
        "nile",
        "Annual flow of the Nile at Aswan.",
        "Cobb (1978), Biometrika 65, 243-251, doi:10.1093/biomet/65.2.243",
        units=("10^8 m^3", ""),
    )


def load_airquality() -> Dataset:
    """Air quality in New York, each day from May to September 1973.

    153 rows, 6 columns; 37 values of ozone and 7 of solar radiation are missing.

    Source: Chambers, J. M., Cleveland, W. S., Kleiner, B. and Tukey, P. A. (1983),
    Graphical Methods for Data Analysis, Wadsworth; the version distributed with R.

    Examples
    --------
    >>> from latentem.datasets import load_airquality
    >>> load_airquality()
    Dataset(153 rows; 6 columns: Ozone, Solar.R, Wind, Temp, Month, Day; 44 cells missing)
    """
    return read(
        "airquality",
        "Daily ozone, solar radiation, wind and temperature in New York, 1973.",
        "Chambers, Cleveland, Kleiner and Tukey (1983), Graphical Methods for Data Analysis",
        units=("ppb", "langley", "mph", "degrees F", "", ""),
    )


def load_apple() -> Dataset:
    """Size of the crop of 18 apple trees, and the share of apples with worms.

    Crop in hundreds of apples and wormy fruit in per cent; the latter is missing for
    the last six trees.

    Source: Snedecor, G. W. and Cochran, W. G. (1967), Statistical Methods, Iowa State
    University Press, with cells taken out by Little, R. J. A. and Rubin, D. B. (1987),
    Statistical Analysis with Missing Data, Wiley.

    Examples
    --------
    >>> from latentem.datasets import load_apple
    >>> load_apple()
    Dataset(18 rows; 2 columns: size, worms; 6 cells missing)
    """
    return read(
        "apple",
        "Apple trees: size of the crop and share of wormy fruit.",
        f"Snedecor and Cochran (1967), Statistical Methods, as given in {LITTLE_RUBIN}",
        units=("100 apples", "%"),
    )


def load_cement_missing() -> Dataset:
    """Composition of 13 cements and the heat they give off, with cells taken out.

    x1 to x4 are percentages of four compounds, x5 is heat in calories per gram. The
    pattern of missing cells is monotone and due to Rubin.

    Source: Woods, H., Steinour, H. H. and Starke, H. R. (1932), Industrial and
    Engineering Chemistry 24, 1207-1214, doi:10.1021/ie50275a002; pattern as given in
    Little, R. J. A. and Rubin, D. B. (1987), Statistical Analysis with Missing Data,
    Wiley.

    Examples
    --------
    >>> from latentem.datasets import load_cement_missing
    >>> load_cement_missing()
    Dataset(13 rows; 5 columns: x1, x2, x3, x4, x5; 15 cells missing)
    """
    return read(
        "cement_missing",
        "Composition of cements and heat evolved in hardening, with cells taken out.",
        "Woods, Steinour and Starke (1932), Industrial and Engineering Chemistry 24, "
        f"1207-1214, doi:10.1021/ie50275a002, as given in {LITTLE_RUBIN}",
        units=("%", "%", "%", "%", "cal/g"),
    )


def load_cholesterol() -> Dataset:
    """Cholesterol of 28 patients 2, 4 and 14 days after a heart attack.

    Day 14 is missing for nine of them.

    Source: Ryan, B. F. and Joiner, B. L. (1994), Minitab Handbook, Wadsworth; analysed
    by Schafer, J. L. (1997), Analysis of Incomplete Multivariate Data, Chapman and
    Hall.

    Examples
    --------
    >>> from latentem.datasets import load_cholesterol
    >>> load_cholesterol()
    Dataset(28 rows; 3 columns: day2, day4, day14; 9 cells missing)
    """
    return read(
        "cholesterol",
        "Cholesterol of patients 2, 4 and 14 days after a heart attack.",
        "Ryan and Joiner (1994), Minitab Handbook; Schafer (1997), Analysis of Incomplete "
        "Multivariate Data",
    )


def load_anaesthetists() -> Dataset:
    """Fitness for anaesthesia of 45 patients, as judged by five anaesthetists.

    315 rows, one for each judgement: patient 1 to 45, rater 1 to 5, label 1 to 4. The
    first anaesthetist judged every patient three times.

    Source: Dawid, A. P. and Skene, A. M. (1979), Maximum likelihood estimation of
    observer error-rates using the EM algorithm, Applied Statistics 28, 20-28,
    doi:10.2307/2346806.

    Examples
    --------
    >>> from latentem.datasets import load_anaesthetists
    >>> float(load_anaesthetists()["label"].max())
    4.0
    """
    return read(
        "anaesthetists",
        "Judgements of patients' fitness for anaesthesia, by patient and rater.",
        "Dawid and Skene (1979), Applied Statistics 28, 20-28, doi:10.2307/2346806",
    )
