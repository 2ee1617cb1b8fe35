"""Packages that are expensive to import and mostly needed only in part: their modules are imported one by one.

To import `tfx.components.trainer.component`, Python first runs `tfx/components/__init__.py`, which imports every component
of TFX, and with them TFMA and the Kubernetes client; so does TFMA's own `__init__`, just for the type of one setting. A run
in which nothing changed needs none of that. Here such an `__init__` runs only when code asks its package for a name that is
not one of its modules. Whatever is imported first, a package offers the same names as always.
"""

import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PACKAGES = ("tfx.components", "tensorflow_model_analysis")


class _Deferred(Loader):
    """Makes a package whose `__init__` has not run yet.

    Args:
      loader: the loader that runs its `__init__`.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._running = False

    def exec_module(self, module: ModuleType) -> None:
        """Leaves a package empty, except for the hook that runs when a name is not found in it."""
        importlib.import_module("google.protobuf.wrappers_pb2")  # TFMA's messages refer to it without importing it
        module.__spec__.loader = module.__loader__ = self._loader  # type: ignore[union-attr]

        def found(name: str) -> Any:
            if name.startswith("__"):  # code that inspects all modules asks for these, and does not need them
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return self._find(module, name)

        module.__getattr__ = found  # type: ignore[method-assign]

    def _find(self, module: ModuleType, name: str) -> Any:
        whole = f"{module.__name__}.{name}"
        try:
            return importlib.import_module(whole)
        except ModuleNotFoundError as error:
            if error.name != whole:
                raise
        with self._lock:
            if not self._running:  # else `__init__` itself asks for one of its own names that is not there yet
                self._running = True
                self._loader.exec_module(module)
                del module.__getattr__
        try:
            return vars(module)[name]
        except KeyError:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None


class _Finder(MetaPathFinder):
    """Finds those packages as Python would, and defers their `__init__`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of such a package; None for any other module. Arguments as Python passes them."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in PACKAGES else None
        if spec and spec.loader:
            spec.loader = _Deferred(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
