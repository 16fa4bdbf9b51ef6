"""HTML: the page of a table, and the site of all of them; imports no torch."""

from collections.abc import Sequence

from bench.cli.progress import tell_unreadable
from bench.cost import CostTable
from bench.files import write_atomic
from bench.graph import plan
from bench.profiles import Profile
from bench.project import Project
from bench.recipe import Library
from bench.report.html.page import PageData, read
from bench.report.html.write import write_index, write_page
from bench.store import Store


def page(table: str, profile: Profile, rows: Sequence[str], *, write: bool) -> None:
    """Print the page of a table, or of some of its rows; or write it beside the others of the site."""
    project = Project.find()
    library = project.library()
    tell_unreadable(library, [table])
    smaller = None if profile == "paper" else profile
    found = read(library, table, project.store(), project.costs(), smaller, rows)
    if not write:
        print(write_page(found), end="")
        return
    folder = project.results / "site"
    path = folder / f"{table}.html"
    write_atomic(path, write_page(found, index=(folder / "index.html").is_file()).encode())
    print(f"written to {path}")


def site(tables: Sequence[str]) -> None:
    """Write the pages of some tables, or of all, and their index into ``results/site/``."""
    project = Project.find()
    library, store, costs = project.library(), project.store(), project.costs()
    chosen = list(tables) or list(library.tables)
    tell_unreadable(library, chosen)
    folder = project.results / "site"
    pages = [_read(library, name, store, costs) for name in chosen]
    for each in pages:
        write_atomic(folder / f"{each.name}.html", write_page(each, index=True).encode())
    write_atomic(folder / "index.html", write_index(pages).encode())
    print(f"{len(pages)} tables written to {folder / 'index.html'}")


def _read(library: Library, name: str, store: Store, costs: CostTable) -> PageData:
    """With a column of the short profile where it has been run, as the committed tables have it."""
    short = plan(library, [name], "short").runs.values()
    tried = any(store.latest_record(run) is not None for run in short)
    return read(library, name, store, costs, "short" if tried else None)
