"""The laws of the source tree: who may import whom, no pickle, quick imports, short files, docstrings."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "jensen"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room is a module or package directly under jensen. Each may import itself, the rooms that are free to
# all, and those listed here. `jensen/__init__.py` and `jensen/__main__.py` are doors: they may open any room.
FREE = {"checks", "errors", "files", "memory", "mode", "progress", "tensors", "_version"}
GROUND = {"trace", "distributions", "networks", "data"}
MODELS = GROUND | {"families", "priors", "models"}
LOOPS = MODELS | {"objectives", "chunks", "training", "evaluation"}
SETTINGS = LOOPS | {"config", "recipes"}
RUNS = SETTINGS | {"run", "folder", "saving", "session", "figures", "scores"}
FACES = RUNS | {"estimator"}
MAY_IMPORT: dict[str, set[str]] = {
    **{room: set() for room in FREE},
    "distributions": set(),
    "networks": set(),
    "data": set(),
    "trace": set(),
    "families": GROUND,
    "priors": GROUND,
    "models": GROUND | {"families", "priors"},
    "objectives": {"trace", "distributions"},
    "chunks": {"trace"},
    "training": {"trace", "distributions", "data", "objectives", "chunks"},
    "evaluation": {"trace", "distributions", "data", "objectives", "chunks"},
    "config": LOOPS,
    "recipes": LOOPS | {"config"},
    "run": SETTINGS,
    "folder": SETTINGS | {"run"},
    "saving": SETTINGS | {"run"},
    "session": SETTINGS | {"run", "folder", "saving"},
    "figures": SETTINGS | {"run"},
    "scores": SETTINGS | {"run"},
    "estimator": RUNS,
    "report": FACES,
    "cli": FACES | {"report"},
}

PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve"}
HEAVY = {"torch", "sklearn", "matplotlib", "pyarrow", "zuko"}
MOST_LINES = 300  # and 250 is the aim


def module_name(path: Path) -> str:
    """`jensen.data.builtin` for src/jensen/data/builtin.py; a package has its folder's name."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """`data` for `jensen.data.builtin`; the empty string for jensen itself; None for other libraries."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "jensen" else None


def imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and full name of all that is imported, at any depth: the function's own imports too.

    `from a import b` yields `a.b`, whether b is a module or not. An import by name in a string counts when
    the string stands in the call to import_module or __import__.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                if level:
                    package = module.split(".") if is_package else module.split(".")[:-1]
                    kept = package[: len(package) - level + 1]
                    base = ".".join([*kept, base] if base else kept)
                yield from ((node.lineno, f"{base}.{name.name}") for name in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                base = name.lstrip(".")
                yield node.lineno, f"{module.partition('.')[0]}.{base}" if base != name else name


def imports_of(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return list(imports(tree, module_name(path), is_package=path.name == "__init__.py"))


def misplaced(module: str, found: list[tuple[int, str]]) -> list[str]:
    """What the import law forbids to ``module``, one sentence for each."""
    room = room_of(module)
    if room in {"", "__main__"}:
        return []
    if room not in MAY_IMPORT:
        return [f"jensen.{room} has no row in MAY_IMPORT (tests/test_architecture.py); give it one there"]
    allowed = MAY_IMPORT[room] | FREE | {room}
    names = ", ".join(sorted(MAY_IMPORT[room] | FREE - {room})) or "nothing"
    problems = []
    for line, name in found:
        target = room_of(name)
        if target is None or target in allowed:
            continue
        if target in MAY_IMPORT:
            problems.append(f"line {line}: jensen.{room} imports {name}, but may import only: {names}")
        else:
            problems.append(
                f"line {line}: {name} is no room of MAY_IMPORT (tests/test_architecture.py): give a new room "
                f"its row there, and import other names from the module that defines them, not from jensen"
            )
    return problems


def picklers(tree: ast.AST, found: list[tuple[int, str]]) -> list[str]:
    """Every way in or out of pickle: its module, torch.load and torch.save, and numpy's allow_pickle."""
    problems = [f"line {line}: imports {name}" for line, name in found if name.partition(".")[0] in PICKLERS]
    problems += [
        f"line {line}: imports {name}" for line, name in found if name in {"torch.load", "torch.save"}
    ]
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="torch"), attr="load" | "save" as attribute):
                problems.append(f"line {node.lineno}: torch.{attribute}")
            case ast.keyword(arg="allow_pickle", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    problems.append(f"line {value.lineno}: allow_pickle is not False")
    return problems


def relative(path: Path) -> str:
    return str(path.relative_to(SOURCE))


each_file = pytest.mark.parametrize("path", FILES, ids=relative)


@each_file
def test_imports_point_downwards(path: Path) -> None:
    problems = misplaced(module_name(path), imports_of(path))
    assert not problems, f"{relative(path)} breaks the import law:\n  " + "\n  ".join(problems)


@each_file
def test_nothing_is_pickled(path: Path) -> None:
    problems = picklers(ast.parse(path.read_text(encoding="utf-8")), imports_of(path))
    assert not problems, (
        f"{relative(path)} uses pickle, which runs code when it is read; "
        f"use safetensors, JSON or .npy instead:\n  " + "\n  ".join(problems)
    )


@each_file
def test_every_file_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{relative(path)} has no docstring; begin with one sentence that says what the file is"


@each_file
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, (
        f"{relative(path)} has {lines} lines, and {MOST_LINES} is the most (250 the aim); "
        f"split it where a second subject begins"
    )


@pytest.mark.parametrize("module", ["jensen", "jensen.cli"])
def test_import_is_quick(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"import {module} fails:\n{done.stderr}"
    loaded = HEAVY & set(json.loads(done.stdout))
    assert not loaded, (
        f"import {module} also imports {', '.join(sorted(loaded))}, which makes it slow; "
        f"import these inside the functions that use them"
    )


# The laws above pass on code that keeps them; these show that they fail on code that does not.


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("jensen.trace", "from jensen.models import VAE"),
        ("jensen.trace", "import jensen.models.vae"),
        ("jensen.distributions.kl", "from .. import trace"),
        ("jensen.distributions.kl", "from ..trace import Trace"),
        ("jensen.families.normal", "def f():\n    from jensen.priors import standard"),
        ("jensen.objectives.bounds", "from jensen import models"),
        ("jensen.objectives.bounds", "import importlib\nimportlib.import_module('jensen.models')"),
        ("jensen.training.loop", "from jensen.families import normal"),
        ("jensen.training.loop", "from jensen.evaluation import gaps"),
        ("jensen.evaluation.gaps", "from ..training import loop"),
        ("jensen.models.vae", "from jensen.config import Config"),
        ("jensen.run", "from jensen.cli import main"),
        ("jensen.report.page", "from jensen.cli import main"),
        ("jensen.errors", "import jensen.data"),
        ("jensen.data.arrays", "from jensen import VariationalAutoencoder"),
        ("jensen.elsewhere", "import math"),
    ],
)
def test_the_import_law_sees(module: str, line: str) -> None:
    assert len(misplaced(module, list(imports(ast.parse(line), module, is_package=False)))) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("jensen.models.vae", "from jensen.trace import Trace\nfrom ..families import normal\nimport torch"),
        ("jensen.data.arrays", "from . import sources\nfrom ..errors import UserError"),
        ("jensen.cli.report", "from jensen.report import write"),
        ("jensen.files", "from jensen.errors import UserError"),
        ("jensen", "from jensen.estimator import VariationalAutoencoder"),
    ],
)
def test_the_import_law_permits(module: str, line: str) -> None:
    found = list(imports(ast.parse(line), module, is_package=module == "jensen"))
    assert misplaced(module, found) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import dump",
        "from torch import load",
        "import torch\ntorch.load('f')",
        "import torch\ntorch.save({}, 'f')",
        "import numpy as np\nnp.load('f', allow_pickle=True)",
    ],
)
def test_the_pickle_law_sees(line: str) -> None:
    tree = ast.parse(line)
    assert len(picklers(tree, list(imports(tree, "jensen.files", is_package=False)))) == 1


def test_the_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").exists()  # else mypy takes all that users import for Any (PEP 561)


def test_pages_and_benchmarks_that_the_source_names_are_there() -> None:
    named = {
        (path.relative_to(PACKAGE), name)
        for path in FILES
        for name in re.findall(r"\b(?:benchmarks|docs)/[\w/-]+\.\w+", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 5
    assert [found for found in sorted(named) if not (SOURCE.parent / found[1]).exists()] == []
