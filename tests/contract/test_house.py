"""Imports go down the house or sideways inside one room, never up, and never in a circle.

The table is the one of docs/explanation/design.md, as data.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "post_office"

# From the ground up. A name stands for a module or for a package with all that is in it.
FLOORS = [
    {"version", "enums", "exceptions", "signals", "compat", "conf", "addresses", "headers", "validators",
     "exact", "fields", "given", "aliases", "ages", "lockfile", "logutils", "packing", "indexes",
     "addressees", "slots"},
    {"querysets", "models", "migrations"},
    {"rendering", "template", "templatetags"},
    {"queue"},
    {"delivery"},
    {"arguments", "compose", "copies", "bulk_insert", "storing", "mail", "backends"},
    {"narrator", "events", "webhooks"},
    {"checks", "flow_checks", "template_checks", "health", "probe", "urls", "admin", "management", "apps",
     "wakeup", "tasks", "background"},
]  # fmt: skip
# Old import paths: on top of everything, and nothing of the house may lean on them.
PORCH = {"cache", "connections", "sanitizer", "settings", "utils", "views"}
# The sanitizer is a leaf that the admin shares with the porch.
SHARED_PORCH = {"sanitizer"}
# Doors upward, each a line long: the function, and what it opens.
DOORS = {
    ("__init__", "__getattr__", "backends"),
    ("models", "email_message", "rendering.message"),
    ("models", "dispatch", "delivery.deliver"),
}


def room(module: str) -> str:
    return module.partition(".")[0]


def floor(module: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Yield (function or "", imported module) for all that a module imports from this package.

    What is imported for type checkers only does not count.
    """
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    if module == "__init__":
        package = []
    yield from _imports_below(ast.parse(path.read_text()), package, "")


def _imports_below(node: ast.AST, package: list[str], function: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.ImportFrom):
            yield from ((function, name) for name in _named(child, package))
        elif isinstance(child, ast.Import):
            names = [alias.name for alias in child.names if alias.name.startswith("post_office.")]
            yield from ((function, name.removeprefix("post_office.")) for name in names)
        else:
            inside = child.name if isinstance(child, ast.FunctionDef) else function
            yield from _imports_below(child, package, inside)


def _named(statement: ast.ImportFrom, package: list[str]) -> Iterator[str]:
    if statement.level:
        base = package[: len(package) - statement.level + 1]
    elif (statement.module or "").partition(".")[0] == "post_office":
        base = []
    else:
        return
    parts = (statement.module or "").removeprefix("post_office").strip(".").split(".")
    base = [*base, *[part for part in parts if part]]
    for alias in statement.names:
        whole = ".".join([*base, alias.name])
        yield whole if whole in MODULES else ".".join(base) or "__init__"


EDGES = [
    (module, function, imported)
    for module in MODULES
    for function, imported in imports(module)
    if imported != module
]


def test_every_module_has_its_place() -> None:
    known = set().union(*FLOORS) | PORCH | {"__init__"}
    assert {room(module) for module in MODULES} == known


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge[0]} imports {edge[2]}")
def test_an_import_goes_down_or_sideways(edge: tuple[str, str, str]) -> None:
    module, function, imported = edge
    if edge in DOORS or room(module) in PORCH or imported == "version":
        return
    assert room(imported) not in PORCH - SHARED_PORCH, "the house leans on the porch"
    if room(imported) in SHARED_PORCH:
        return
    assert floor(imported) <= floor(module), f"{module} (in {function or 'the module'}) looks up"


def test_every_door_is_there() -> None:
    assert set(EDGES) >= DOORS


def test_nothing_goes_in_circles() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for edge in EDGES:
        if edge not in DOORS:
            graph[edge[0]].add(edge[2])
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        pytest.fail(" -> ".join(fault.args[1]))


def test_only_compat_knows_the_version_of_django() -> None:
    naming = [name for name, path in MODULES.items() if "django.VERSION" in path.read_text()]
    assert naming == ["compat"]
