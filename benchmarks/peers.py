"""Claim: given the same input, we answer as our peers' own packages do, or the difference is explained.

Each peer's own code runs beside accounting.methods in this one run, and each pair is printed as ours / theirs:
codecarbon (installed with the product) on fed readings and loads, Impact Framework's `if-run` on a manifest in the
shape of its SCI example, and EcoLogits' water in a release that counts the PUE twice and in one that does not. The
latter two are fetched once into build/peers/; what cannot be fetched is said and left out. BENCH_SHORT=1 fetches
nothing and runs them only where they are there already. `--markdown` prints the rows of docs/peers.md.
"""

import logging
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main() -> None:
    from benchmarks.side_by_side import codecarbon_pairs, ecologits_pairs, impact_framework_pairs
    from benchmarks.side_by_side.pairs import Pair
    from benchmarks.side_by_side.peer_packages import NotRun

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    as_rows = "--markdown" in sys.argv[1:]

    def compared() -> Iterator[Pair | str]:
        for module in (codecarbon_pairs, impact_framework_pairs, ecologits_pairs):
            name = module.__name__.rpartition(".")[2].removesuffix("_pairs")
            try:
                yield from module.pairs()
            except NotRun as error:
                yield f"{name}: not run: {error}"

    print("ours / theirs")
    for peer, of_peer in groupby(compared(), key=lambda one: one if isinstance(one, str) else one.peer):
        print(peer)
        for one in of_peer:
            if not isinstance(one, str):
                print(one.row if as_rows else one.line)


if __name__ == "__main__":
    main()
