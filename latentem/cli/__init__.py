"""The command line: ``latentem mixture``, ``hmm`` and ``impute DATA.csv``, ``latentem tour``.

Results go to standard output, progress and messages to standard error. Exit codes: 0
all is well; 2 the arguments or the data are wrong, or something that is needed is
missing; 3 the model that was chosen is not to be trusted, because its fit has not
converged or is degenerate. Numerical libraries are imported only when a command
runs, so that ``--help`` and ``--version`` are quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import latentem
from latentem.cli import align, deconvolve, hmm, impute, mixture, statespace, tour
from latentem.cli.messages import BadInput, say

__all__ = ["main"]

COMMANDS = (mixture, hmm, impute, align, deconvolve, statespace, tour)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Examples
    --------
    >>> from latentem.cli import main
    >>> main(["--version"])  # doctest: +SKIP
    latentem 0.1.0
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show is no failure
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BadInput as error:
        say(f"latentem {args.command}: {error}")
        return 2
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say(f"latentem {args.command}: interrupted")
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    version = f"latentem {latentem.__version__}"
    parser = argparse.ArgumentParser(
        prog="latentem",
        description="Models with unobserved variables, fitted by expectation-maximisation.",
        epilog="latentem COMMAND --help tells more of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME,
            help=command.HELP,
            usage=command.USAGE,
            description=command.DESCRIPTION,
            epilog=command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(sub)
        sub.add_argument("--version", action="version", version=version)
        sub.set_defaults(run=command.run)
    return parser
