"""The identity of modules, which is part of every cache key, and the revision of the project."""

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
ALWAYS = ("tensorflow", "keras", "openvino", "tfx")  # they change numbers and artifacts, whichever module imports them


def identity(*modules: str, files: Iterable[Path] = ()) -> str:
    """Returns a hash of what modules are made of, which changes if and only if their results may change.

    It covers the code of the modules and of all they import from this project, also inside functions, the files next to that
    code, such as templates, and the versions of imported libraries. Comments, docstrings and formatting do not count.

    Args:
      modules: their names; a library's modules count by its version.
      files: other files that the result depends on, by content.
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
    """Returns these modules and everything they import; for libraries, only their names."""
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
    """Returns the file of a module of this project; None for any other module."""
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
    """Returns what a module of this project imports, also inside functions, and the package that it is in."""
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
    """Removes strings that are statements of their own: docstrings."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Returns the node, or None if it is such a string."""
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _packages(module: str) -> list[Path]:
    """Returns the folders of the packages that a module is in."""
    path = _path(module)
    return [folder for folder in path.parents if (folder / "__init__.py").is_file()] if path else []


@functools.cache
def _files_digest(folder: Path) -> str:
    """Returns a hash of the files of a package that are not code, such as templates."""
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
    """Returns the distributions that provide a library, with their versions; empty if it is not installed."""
    return [(name, metadata.version(name)) for name in sorted(set(_distributions().get(library, ())))]


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def revision() -> str:
    """Returns the git revision of this project, marked if files have changed since; for a wheel, its version.

    Raises:
      UserError: if it is neither a git checkout nor a wheel.
    """
    if not IS_CHECKOUT:  # a repository around a wheel would be somebody else's
        return metadata.version("graftline")
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"{PROJECT} is not a git checkout, so its revision is unknown: clone it with git.") from None
