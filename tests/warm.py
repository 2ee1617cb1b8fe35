"""Programs as real processes that pay for slow imports only once: each is a fork of a process that has imported them.

TensorFlow and TFX take more than ten seconds to import. The forked process has imported them and done nothing else, so a
program finds them as it would after its own import. What a program prints goes to files, as it would to a pipe.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from graftline.base.paths import PROJECT

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pipeline", "graftline.runs.runner", "graftline.runs.summary", "keras", "tests.killed"])


class Program:
    """A program that is running.

    Attributes:
      pid: its process.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        cwd: Path = PROJECT,
        together: bool = False,
    ) -> None:
        """Starts `python -m MODULE ARGUMENT …`.

        Args:
          module: its name.
          *arguments: its arguments.
          env: its whole environment; by default, that of this process.
          cwd: its working folder.
          together: whether its standard error goes to the same file as its standard output.
        """
        self.module = module
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name, name) for name in ("out", "out" if together else "err")]
        for file in self._files:
            file.touch()
        given = module, arguments, dict(env or os.environ), str(cwd), *map(str, self._files)
        self._process: BaseProcess = FORKS.Process(target=_become, args=given)
        self._process.start()
        self.pid = self._process.pid or 0

    def said(self) -> str:
        """Returns what it has printed so far on standard output."""
        return self._files[0].read_text(errors="replace")

    def running(self) -> bool:
        """Returns whether it has not ended yet."""
        return self._process.is_alive()

    def wait(self, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Returns how it ended: the exit status, negative if a signal ended it, and what it printed.

        Args:
          timeout: seconds.

        Raises:
          subprocess.TimeoutExpired: if it has not ended by then; it is killed.
        """
        self._process.join(timeout)
        if self.running():
            self._process.kill()
            raise subprocess.TimeoutExpired(self.module, timeout or 0, self.said())
        out, err = (file.read_text(errors="replace") for file in self._files)
        self._folder.cleanup()
        return subprocess.CompletedProcess(self.module, self._process.exitcode or 0, out, err)


def run(module: str, *arguments: str, timeout: float | None = None, **how: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, as `subprocess.run` does; takes the arguments of `Program` and a timeout in seconds."""
    return Program(module, *arguments, **how).wait(timeout)


def _become(module: str, arguments: tuple[str, ...], env: dict[str, str], cwd: str, out: str, err: str) -> None:
    """Turns a fork into the program."""
    for file, stream in ((out, 1), (err, 2)):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, stream)
        os.close(opened)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1, errors="replace") for stream in (1, 2))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [module, *arguments]
    sys.path.insert(0, cwd)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
