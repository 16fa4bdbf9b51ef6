"""``kdbench figure``: what single papers show. Each command imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.options import Profile

figure = typer.Typer(help="What single papers show, made again from runs and from words.", no_args_is_help=True)


@figure.command()
def similarity(
    set_: Annotated[str, typer.Argument(metavar="SET", help="cifar10, cifar100, ...")],
    vectors: Annotated[
        Path | None,
        typer.Option(help="A word2vec file, binary or text, gzipped or not. [default: the shipped distances]"),
    ] = None,
    table: Annotated[str, typer.Option(help="The table whose label map names the words.")] = "ffdwv-table2",
    length: Annotated[Literal["raw", "unit"], typer.Option(help="Vectors as they are, or scaled to length 1.")] = "raw",
    distance: Annotated[
        Literal["euclidean", "sqeuclidean", "cosine"], typer.Option(help="Between two vectors.")
    ] = "euclidean",
    reading: Annotated[
        Literal["vectors", "rows"],
        typer.Option(help="Of eq. 6: between vectors, or between rows of the distance matrix."),
    ] = "vectors",
    distances: Annotated[
        Path | None, typer.Option(help="With --vectors: write the distances here, for a recipe.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the similarity matrix here.")] = None,
    figure_: Annotated[
        list[Path] | None,
        typer.Option("--figure", help="Draw the heat map here (.png, .svg or .pdf; may be repeated)."),
    ] = None,
) -> None:
    """The similarity matrix of a set's class names (FFDWV, equation 7 and Figure 2)."""
    from bench.cli import figures

    figures.similarity(set_, vectors, table, length, distance, reading, distances, csv, figure_ or [])


@figure.command()
def temperature(
    run: Annotated[str, typer.Argument(metavar="RUN", help="TABLE/ROW#SEED, as in efficiency/mnist-teacher#1.")],
    image: Annotated[int, typer.Option(help="Test image, in the set's canonical order.")] = 0,
    at: Annotated[
        list[float] | None, typer.Option("--at", help="A temperature (repeat). [default: Zeng's seven]")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="Of the run.")] = "paper",
    figure_: Annotated[Path | None, typer.Option("--figure", help="Draw the bars here (.png, .svg or .pdf).")] = None,
) -> None:
    """What a trained network says of one test image, softened by different temperatures."""
    from bench.cli import figures

    figures.temperature(run, image, at or [1, 5, 10, 15, 20, 40, 60], profile, figure_)


@figure.command()
def impressions(
    run: Annotated[str, typer.Argument(metavar="RUN", help="TABLE/ROW#SEED, as in zskd/mnist-zskd#1.")],
    class_: Annotated[
        list[int] | None, typer.Option("--class", help="Draw this class (repeat). [default: all of them]")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="Of the run.")] = "paper",
    figure_: Annotated[
        Path | None, typer.Option("--figure", help="Draw impressions here (.png, .svg or .pdf).")
    ] = None,
    similarity: Annotated[
        Path | None, typer.Option(help="Draw the class similarity here (.png, .svg or .pdf).")
    ] = None,
) -> None:
    """The images that zero-shot distillation synthesised from a teacher, and its class similarity."""
    from bench.cli import figures

    figures.impressions(run, class_ or [], profile, figure_, similarity)


@figure.command()
def curves(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="TABLE/ROW[.STAGE]#SEED: its test error, or accuracy, by step."),
    ] = None,
    loss: Annotated[
        list[str] | None, typer.Option("--loss", metavar="RUN", help="The loss terms of this run (may be repeated).")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="Of the runs.")] = "paper",
    figure_: Annotated[Path | None, typer.Option("--figure", help="Draw the curves here (.png, .svg or .pdf).")] = None,
) -> None:
    """How runs went, from their records: the first and the last epoch, and every epoch in a figure."""
    from bench.cli import figures

    figures.curves(runs or [], loss or [], profile, figure_)
