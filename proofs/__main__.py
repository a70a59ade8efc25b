"""`./prove`: each proof is a command; exit status 0 only where it holds."""

import argparse
import sys
from collections.abc import Sequence

from proofs.chaos.command import add_chaos
from proofs.fuzz.command import add_fuzz
from proofs.mutation.command import add_mutation
from proofs.simulation.command import add_simulation
from proofs.soak.command import add_soak


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one proof; return the exit status."""
    parser = argparse.ArgumentParser(prog="./prove", description=__doc__)
    proofs = parser.add_subparsers(required=True, metavar="PROOF")
    add_chaos(proofs)
    add_simulation(proofs)
    add_fuzz(proofs)
    add_mutation(proofs)
    add_soak(proofs)
    options = parser.parse_args(arguments)
    status: int = options.prove(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
