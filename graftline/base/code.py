"""What code is: the identity of modules, which every cache's key holds, and the revision of the project."""

import ast
import functools
import hashlib
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from graftline.base.errors import UserError
from graftline.base.paths import IS_CHECKOUT, PROJECT

OURS = ("graftline", "components", "kubeflow", "pipeline")
ALWAYS = ("tensorflow", "keras", "openvino", "tfx")  # they change numbers and artifacts, whoever imports them


def identity(*modules: str, files: Iterable[Path] = ()) -> str:
    """Returns a hash of what modules are made of, which changes where a result of theirs may, and only then.

    That is the code of the modules and of all that they import of this project, in functions too, the files beside it, such
    as templates, and the versions of the libraries that it imports. Comments, docstrings and formatting do not count.

    Args:
      modules: their names; those of a library count by its version.
      files: what else the result depends on, by content.
    """
    closure = sorted(_closure(modules))
    ours = [module for module in closure if _path(module)]
    libraries = {module.partition(".")[0] for module in closure if not _path(module)} | set(ALWAYS)
    folders = sorted({folder for module in ours for folder in _packages(module)})
    parts = [f"{module} {_digest(module)}" for module in ours]
    parts += [f"{folder.relative_to(PROJECT)} {_files_digest(folder)}" for folder in folders]
    parts += sorted({f"{name} {version}" for library in libraries for name, version in _versions(library)})
    parts += [f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _closure(modules: tuple[str, ...]) -> set[str]:
    """Returns these modules and all that they import; of libraries their names alone."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imports(module)
    return found


@functools.cache
def _path(module: str) -> Path | None:
    """Returns the file of a module of this project; None where it is none."""
    if module.partition(".")[0] not in OURS:
        return None
    place = PROJECT.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _tree(module: str) -> ast.Module:
    path = _path(module)
    return ast.parse(path.read_bytes() if path else b"")


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """Returns what a module of this project imports, in functions too, and the packages that it is in."""
    imported = {module.rpartition(".")[0]} if _path(module) else set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {node.module} | {name for name in inner if _path(name)}
    names = {name if _path(name) else name.partition(".")[0] for name in imported}
    return frozenset(names - {""} - set(sys.stdlib_module_names))


@functools.cache
def _digest(module: str) -> str:
    """Returns a hash of a module's code."""
    return hashlib.sha256(ast.dump(_Bare().visit(_tree(module))).encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Leaves out texts that stand alone: docstrings."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Returns the node, or None where it is such a text."""
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _packages(module: str) -> list[Path]:
    """Returns the folders of the packages that a module is in."""
    path = _path(module)
    return [folder for folder in path.parents if (folder / "__init__.py").is_file()] if path else []


@functools.cache
def _files_digest(folder: Path) -> str:
    """Returns a hash of the files of a package that are no code, such as templates."""
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        digest.update(f"{path.relative_to(folder)}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    files = []
    for path in folder.iterdir():
        if path.name.startswith((".", "__pycache__")) or (path / "__init__.py").is_file():
            continue
        files += _files(path) if path.is_dir() else [path] if path.suffix != ".py" else []
    return files


@functools.cache
def _versions(library: str) -> list[tuple[str, str]]:
    """Returns the distributions that a library's name is from, with their versions; none where it is not installed."""
    return [(name, metadata.version(name)) for name in sorted(set(_distributions().get(library, ())))]


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def revision() -> str:
    """Returns the git revision of this project, marked where files have changed since; of a wheel, its version.

    Raises:
      UserError: where it is neither.
    """
    if not IS_CHECKOUT:  # a repository around it would be somebody else's
        return metadata.version("graftline")
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"{PROJECT} is no git checkout, so its revision is not known: clone it with git.") from None
