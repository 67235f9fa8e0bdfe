"""Run benchmarks by name, all of them without one; write JSON and a plot of the ratios.

python -m benchmarks                 everything (about 15 minutes on two cores)
python -m benchmarks mixture         one by name
python -m benchmarks mixture --quick fewer repetitions
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    alignment,
    factor,
    first_fit,
    hmm,
    imputer,
    memory,
    mixture,
    naive_bayes,
    optimum,
    raters,
    reconstruction,
    scale,
    selection,
    starts,
    state_space,
)
from benchmarks.report import Row, machine, plot, table

BENCHMARKS: dict[str, Callable[[bool], list[Row]]] = {
    "mixture": mixture.run,
    "hmm": hmm.run,
    "imputer": imputer.run,
    "factor": factor.run,
    "alignment": alignment.run,
    "naive_bayes": naive_bayes.run,
    "reconstruction": reconstruction.run,
    "raters": raters.run,
    "state_space": state_space.run,
    "optimum": optimum.run,
    "selection": selection.run,
    "starts": starts.run,
    "first_fit": first_fit.run,
    "memory": memory.run,
    "scale": scale.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller data")
    parser.add_argument("--out", default="benchmarks/results", help="folder for JSON and plot")
    args = parser.parse_args()
    unknown = set(args.names) - set(BENCHMARKS)
    if unknown:
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    print("\n".join(f"{key}: {value}" for key, value in machine().items()), flush=True)
    short = 0
    for name in args.names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        rows = BENCHMARKS[name](args.quick)
        print(table(rows), flush=True)
        short += sum(not row.met for row in rows)
        record = {"machine": machine(), "rows": [row._asdict() for row in rows]}
        (out / f"{name}.json").write_text(json.dumps(record, indent=1))
        plot(rows, out / f"{name}.png")
    print(f"\n{short} figures miss their floor; results are in {out}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
