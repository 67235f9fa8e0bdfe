"""
Air quality: filling gaps, and saying how sure
==============================================

Ozone, solar radiation, wind and temperature in New York, each day from May to September
1973. Of the 153 days 37 have no ozone and 7 no radiation. Leaving incomplete days out
throws away a quarter of the table; filling it once pretends to know what is not known.
"""

import matplotlib.pyplot as plt
import numpy as np

import latentem

air = latentem.datasets.load_airquality().to_frame()

# %%
# What is missing
# ---------------
#
# Rows that miss the same cells are a pattern. Little's test says that days with different
# patterns differ in what was measured: they do not go missing completely at random, and the
# complete days are not like the others.

found = latentem.missing_patterns(air)
print(found)
print(latentem.little_mcar_test(air))

ax = latentem.plot.patterns(found)
plt.show()

# %%
# A distribution for the whole table
# ----------------------------------
#
# Ozone is positive and skewed, so it is taken in logarithms; day of the month is left out. The
# normal distribution is fitted to all cells that are there.

table = air.drop(columns="Day").assign(Ozone=np.log(air["Ozone"]))
table = table.rename(columns={"Ozone": "log ozone"})
imputer = latentem.GaussianImputer().fit(table)
print(imputer.result_)
for name, missing, lost in zip(
    table.columns, table.isna().mean(), imputer.fraction_missing_information_, strict=True
):
    print(f"{name:10} {missing:6.1%} of the cells missing, {lost:6.1%} of the information")

# %%
# Ozone goes with temperature and against wind. That is why fewer per cent of the information
# about its mean are lost than of its cells.
#
# Does the model hold?
# --------------------
#
# Each observed cell is imputed from the rest of its row, as if it had been missing. Nine in
# ten should lie within their limits. Without the logarithm the days of high ozone are imputed
# too low, and some of low ozone below zero.

plain = latentem.GaussianImputer().fit(air.drop(columns="Day"))
again = imputer.overimpute(table)
print(again)

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
latentem.plot.overimpute(plain.overimpute(air.drop(columns="Day")), column="Ozone", ax=axes[0])
latentem.plot.overimpute(again, column="log ozone", ax=axes[1])
plt.show()

# %%
# Fill the gaps
# -------------
#
# A missing cell gets its conditional mean, with limits. Back in ppb the limits are not
# symmetric, and above zero.

filled = imputer.set_output(transform="pandas").transform(table)
lower, upper = imputer.interval(table, level=0.9)
days = np.arange(len(air))
gap = air["Ozone"].isna().to_numpy()

fig, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
ax.plot(days, air["Ozone"], ".-", color="#222222", linewidth=0.8, markersize=3, label="observed")
ax.vlines(days[gap], np.exp(lower[gap, 0]), np.exp(upper[gap, 0]), color="#0072B2", alpha=0.4)
ax.plot(
    days[gap], np.exp(filled["log ozone"][gap]), "o", color="#0072B2", markersize=4,
    label="imputed, limits of 90 %",
)  # fmt: skip
ax.set_xlabel("day")
ax.set_ylabel("ozone (ppb)")
ax.set_ylim(0, 240)
ax.legend(frameon=False, ncols=2, loc="upper right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# An analysis that counts what is missing
# ---------------------------------------
#
# How does log ozone depend on radiation, wind and temperature? 20 tables are filled with draws
# instead of means, each is analysed as if it were complete, and the results are pooled.


def regression(rows):
    """Coefficients of the regression of the first column, and their covariance."""
    ozone, *others = np.asarray(rows, dtype=float)[:, :4].T
    X = np.column_stack([np.ones(len(ozone)), *others])
    coefficients = np.linalg.lstsq(X, ozone)[0]
    residuals = ozone - X @ coefficients
    return coefficients, residuals @ residuals / (len(X) - 4) * np.linalg.inv(X.T @ X)


tables = latentem.impute_multiple(table, m=20, random_state=0)
estimates, covariances = zip(*[regression(rows) for rows in tables], strict=True)
pooled = latentem.pool(estimates, covariances, dfcom=len(table) - 4)
print(pooled)

# %%
# The same from the complete days alone, and from the table that was filled once. The latter
# believes its own imputations: its standard errors are too small.

names = ["radiation", "wind", "temperature"]
results = {
    "complete days": regression(table.dropna()),
    "filled once": regression(filled),
    "multiple imputation": (pooled.estimate, pooled.total),
}
fig, axes = plt.subplots(1, 3, figsize=(9, 2.4), sharey=True, layout="constrained")
for j, (ax, name) in enumerate(zip(axes, names, strict=True), start=1):
    for place, (coefficients, covariance) in enumerate(results.values()):
        error = np.sqrt(covariance[j, j])
        ax.errorbar(coefficients[j], place, xerr=2 * error, fmt="o", color="#0072B2", capsize=3)
    ax.set_title(name, fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_yticks(range(3), list(results))
axes[0].set_ylim(2.5, -0.5)
axes[1].set_xlabel("coefficient ± 2 standard errors, of log ozone")
plt.show()

once, many = (np.sqrt(np.diag(covariance)) for _, covariance in list(results.values())[1:])
print("standard errors, filled once as a share of pooled:", (once / many).round(2))
assert np.all(once < many)
