"""The commands. Each imports what it needs when it runs, so that ``--help`` and planning never wait for torch."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench import __version__
from bench.cli.figure_commands import figure
from bench.cli.options import DataOption, DeviceOption, Profile, ProfileOption, Rows, Seeds, TableName
from bench.errors import UsageError

app = typer.Typer(
    name="kdbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(figure, name="figure")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"kdbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reproduce the tables of knowledge-distillation papers: several seeds, costs, verdicts."""


@app.command("list")
def list_(
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="The rows of this table instead.")] = None,
    names: Annotated[bool, typer.Option("--names", help="Only the names, for scripts.")] = False,
) -> None:
    """The tables, or the rows of one: what is done of each in the paper profile, and what is left."""
    from bench.cli import show

    if table is None:
        show.tables(names_only=names)
    else:
        show.rows(table, names_only=names)


@app.command()
def status() -> None:
    """What runs now, in any terminal and on any machine that shares this folder: how far it is, and who does it."""
    from bench.cli import status as command

    command.status()


@app.command()
def check() -> None:
    """Read every recipe and say what is wrong with it, with file and line."""
    from bench.cli import show

    show.check()


@app.command()
def verify(
    again: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Also train N recorded runs again, the cheapest, and compare."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With --again: draw the runs by this seed instead.")] = None,
    data: DataOption = None,
) -> None:
    """Check every record against itself: digest, curve, identity, artifact. A fault is a line, and exit code 2."""
    from bench.cli import show

    if again is None and (seed is not None or data is not None):
        raise UsageError("--seed and --data go with --again")
    show.verify()
    if again is not None:
        from bench.cli import again as anew

        anew.verify(again, seed, data)


@app.command()
def run(
    name: Annotated[
        str, typer.Argument(metavar="TABLE", help="A table, or one run of it: TABLE/ROW#SEED, TABLE/ROW.STAGE#SEED.")
    ],
    profile: ProfileOption = None,
    row: Rows = None,
    seed: Seeds = None,
    data: DataOption = None,
    device: DeviceOption = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Train what has a record too, and compare with it. [default profile: paper, on any device]"
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the graph: what is done, what would run.")] = False,
    retry_diverged: Annotated[
        bool, typer.Option("--retry-diverged", help="Train runs again that ended in NaN.")
    ] = False,
    at_once: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs side by side, at most. [default: one a core, up to 8; on CUDA 4, or as memory goes]",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for what other processes train, on any machine that shares the folder.")
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N shares of the table, with its sources.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            help="ray, the Ray cluster of this machine, or ray://HOST:PORT. There, --at-once is how many runs share a"
            " GPU [default: 1], and paper is the default profile."
        ),
    ] = None,
) -> None:
    """Train what is missing of a table. The same command resumes where it was stopped.

    Exit code 1 says that runs were left out.
    """
    if profile is None and not again and on is None:
        from bench.cli.work import default_profile

        profile = default_profile(device)
    profile, rows, seeds = profile or "paper", row or [], seed or []
    if (dry_run or again) and (wait or shard or on):
        raise UsageError("--wait, --shard and --on go with neither --dry-run nor --again")
    if on and device:
        raise UsageError("--device is of this machine: it does not go with --on")
    if dry_run:
        from bench.cli import show

        show.graph(name, profile, rows, seeds, again=again, retry_diverged=retry_diverged)
    elif again:
        from bench.cli import again as anew

        anew.run(name, profile, rows, seeds, data, device, at_once)
    else:
        from bench.cli import work

        work.run(
            name, profile, rows, seeds, data, device,
            retry_diverged=retry_diverged, at_once=at_once, wait=wait, shard=shard, on=on,
        )  # fmt: skip


@app.command()
def report(
    table: TableName,
    format: Annotated[
        Literal["text", "markdown", "latex", "csv", "json", "html"], typer.Option(help="How to print it.")
    ] = "text",
    profile: Annotated[
        Profile, typer.Option(help="short or smoke add a marked column of that profile's runs.")
    ] = "paper",
    row: Rows = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="As text or markdown: the answer, the claims and the verdicts alone.")
    ] = False,
    slim: Annotated[bool, typer.Option("--slim", help="With latex: fewer columns, for one column of a paper.")] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write the whole table: results/tables/TABLE.md, or as html results/site/TABLE.html."
        ),
    ] = False,
) -> None:
    """Print a table: published beside reproduced, with verdicts and footnotes; what it comes to stands above."""
    if write and (brief or slim or row or format not in ("text", "markdown", "html")):
        raise UsageError("--write is for a whole table, as Markdown, or as a page with --format html")
    if format == "html":
        from bench.cli import site as pages

        if brief or slim:
            raise UsageError("a page has everything: --brief and --slim are for other formats")
        pages.page(table, profile, row or [], write=write)
        return
    from bench.cli import show

    if write:
        show.write(table, profile)
    else:
        show.report(table, format, profile, row or [], slim=slim, brief=brief)


@app.command()
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="TABLE/ROW#SEED, as in efficiency/mnist-teacher#1.")],
    to: Annotated[Path, typer.Option(help="The folder to make.")],
    profile: Annotated[Profile, typer.Option(help="Of the run.")] = "paper",
) -> None:
    """Write a trained network with a model card into a folder, for `bench.load` in Python."""
    from bench.cli import work

    work.export(run, to, profile)


@app.command()
def audit(
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Only this table's numbers.")] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print it.")] = "text",
) -> None:
    """What is odd in the published numbers themselves; trains nothing."""
    from bench.cli import published

    published.audit(table, format)


@app.command()
def coverage() -> None:
    """How many numbers each paper has published, and how many of them have a verdict."""
    from bench.cli import published

    published.coverage()


@app.command()
def survey(
    format: Annotated[Literal["text", "markdown", "csv", "json"], typer.Option(help="How to print it.")] = "text",
) -> None:
    """The survey's tables from the recipes: each work's four stages, where it stands here, and its number."""
    from bench.cli import published

    published.survey(format)


@app.command()
def site(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Only these tables. [default: all]")
    ] = None,
) -> None:
    """Write an HTML page of every table, and an index, into results/site/."""
    from bench.cli import site as pages

    pages.site(tables or [])


@app.command()
def plot(
    table: TableName,
    figure_: Annotated[
        Path | None,
        typer.Option(
            "--figure",
            help="Draw to this name with -forest and -cost (.svg, .png or .pdf). [default: results/figures/TABLE.svg]",
        ),
    ] = None,
) -> None:
    """Draw a table: published against ours with seeds, intervals and margins; accuracy against cost."""
    from bench.cli import plot as plots

    plots.plot(table, figure_)


@app.command()
def cost(
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Only this table's networks.")] = None,
    recount: Annotated[
        bool, typer.Option("--recount", help="Count again with fvcore and write results/costs.json.")
    ] = False,
) -> None:
    """Multiply-adds, FLOPs and parameters of the networks."""
    from bench.cli import show

    show.cost(table, recount=recount)


@app.command()
def estimate(
    table: TableName,
    profile: Annotated[Profile, typer.Option(help="Which profile to estimate.")] = "paper",
    row: Rows = None,
    device: DeviceOption = None,
    gpus: Annotated[
        list[int] | None,
        typer.Option(
            min=1, metavar="N", help="Also how long N GPUs like it take (may be repeated), and what bounds it."
        ),
    ] = None,
    tflops: Annotated[
        float | None,
        typer.Option(
            min=1e-6, metavar="RATE", help="Time nothing: a device that is not here, and sustains RATE TFLOP/s."
        ),
    ] = None,
) -> None:
    """Time and FLOPs of a table on this machine, from a few timed steps, and the seeds that its verdicts need."""
    from bench.cli import work

    work.estimate(table, profile, row or [], device, gpus or [], tflops)


@app.command()
def prepare(
    sets: Annotated[list[str], typer.Argument(metavar="SET...", help="cifar10, cifar100, mnist, fashionmnist")],
    data: DataOption = None,
) -> None:
    """Fetch data sets where they are missing, and verify them."""
    from bench.cli import work

    work.prepare(sets, data)


# Its options stand beside it: they are parsed also where typer cannot be installed.
@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def gpu(context: typer.Context) -> None:
    """Run as many missing runs as fit in a time budget, the highest priority first, and pack what came out."""
    from bench.cli import gpu as command

    command.command(context.args)


@app.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="A folder that `kdbench gpu` packed.")],
) -> None:
    """Take in records, weights and checkpoints that another machine packed; nothing is overwritten."""
    from bench.cli import packing

    packing.collect(folder)
