"""Packages that are expensive to import, and of which little is asked most often: what is in them is imported one by one.

To import `tfx.components.trainer.component` Python runs `tfx/components/__init__.py` first, which imports every component of
TFX, and so TFMA and Kubernetes' client; TFMA's own does so for the form of one setting. A run in which nothing changed
needs none of that. Here such an `__init__` runs when a name is asked of its package that no module of it has; whoever was
imported first, all that can be asked of a package is what it always was.
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
      loader: the one that runs it.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._running = False

    def exec_module(self, module: ModuleType) -> None:
        """Leaves a package as it is, but for what comes when a name is not found in it."""
        importlib.import_module("google.protobuf.wrappers_pb2")  # TFMA's messages refer to it, and leave its import out
        module.__spec__.loader = module.__loader__ = self._loader  # type: ignore[union-attr]

        def found(name: str) -> Any:
            if name.startswith("__"):  # asked by whoever looks through all modules, and of use to nobody
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
            if not self._running:  # or it asks for a name of its own that is not there yet
                self._running = True
                self._loader.exec_module(module)
                del module.__getattr__
        try:
            return vars(module)[name]
        except KeyError:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None


class _Finder(MetaPathFinder):
    """Finds those packages as Python would, to be made later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns how a package is made; None of any other module. Arguments as Python gives them."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in PACKAGES else None
        if spec and spec.loader:
            spec.loader = _Deferred(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
