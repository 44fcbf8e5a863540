"""The subcommands ``cms`` and ``cms-sample`` of ``python -m federation.data_prep``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from federation.cli.command import Debug
from federation.data.cms.columns import DMEPOS, GENDER, LEIE, PART_B, PART_D


def cms(
    *,
    part_b: Annotated[
        list[Path], typer.Option(help=f"{PART_B.title}; repeat for each year.", metavar="FILE")
    ],
    part_d: Annotated[
        list[Path], typer.Option(help=f"{PART_D.title}; repeat for each year.", metavar="FILE")
    ],
    dmepos: Annotated[
        list[Path], typer.Option(help=f"{DMEPOS.title}; repeat for each year.", metavar="FILE")
    ],
    leie: Annotated[Path, typer.Option(help=f"{LEIE.title}, the full file.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="Table to write, .csv or .parquet.", metavar="FILE")],
    gender: Annotated[
        list[Path] | None,
        typer.Option(
            help="Source of gender, if the other files have none: an older release, or the NPPES file.",
            metavar="FILE",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest instead of a summary.")] = False,
    debug: Debug = False,
) -> None:
    """Make the curated table of providers from the public CMS files as downloaded.

    The table has one row for each provider and type that is in all three kinds of file: mean, sum and
    standard deviation of each measure over all years, female, and the label fraudulent_provider from the
    exclusions list. It has no names, NPIs or addresses. Files may be larger than memory. A manifest is
    written beside the table.

    \b
    Example:
      python -m federation.data_prep cms-sample --out raw
      python -m federation.data_prep cms --out providers.csv --part-b raw/synthetic_part_b_2017.txt \\
        --part-b raw/synthetic_part_b_2023.csv --part-d raw/synthetic_part_d_2023.csv \\
        --dmepos raw/synthetic_dmepos_2023.csv --leie raw/synthetic_leie.csv
    """
    from federation.data.cms.preparation import prepare_cms

    paths = {PART_B: part_b, PART_D: part_d, DMEPOS: dmepos, LEIE: [leie], GENDER: gender or []}
    manifest = prepare_cms(paths, out, lambda text: typer.echo(text, err=True))
    typer.echo(manifest.to_json() if as_json else manifest.summary(), nl=not as_json)
    words = ["--data", str(out), "--label", manifest.label]
    typer.echo(f"Wrote {out}. Next:\n  python -m federation.local {shlex.join(words)}", err=True)


def cms_sample(
    *,
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.", metavar="FOLDER")],
    providers: Annotated[int, typer.Option(help="Number of providers.")] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Write small synthetic files in the format of CMS and OIG, to try the cms command with.

    All values are random, and every file name says synthetic. They have the difficulties of the real files:
    old and new names, encodings, withheld numbers, missing gender, unknown NPIs.

    \b
    Example:
      python -m federation.data_prep cms-sample --out raw --providers 500
    """
    from federation.data.cms.sample import make_sample

    first, second, part_d, dmepos, leie = (
        shlex.quote(str(path)) for path in make_sample(out, providers=providers, seed=seed)
    )
    typer.echo(
        f"Wrote made-up files to {out}. Next:\n"
        "  python -m federation.data_prep cms --out synthetic-providers.csv "
        f"--part-b {first} --part-b {second} --part-d {part_d} --dmepos {dmepos} --leie {leie}",
        err=True,
    )
