"""Fetches a run's report and model card from the volume to this machine."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from graftline.artifacts.report_files import PAGE
from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow.visits.visitor import program, visiting


def fetch(settings: Settings, run_id: str, folder: Path) -> Path:
    """Copies a report and everything that belongs to it, and returns the path of its page.

    Args:
      settings: the pipeline's settings.
      run_id: the run's id, or `latest`.
      folder: where reports are kept, one folder per run.

    Raises:
      UserError: if there is no such run, it has no report, or the copy breaks off.
    """
    folder.mkdir(parents=True, exist_ok=True)
    send = ["python", "-m", "kubeflow.visits.send_report", run_id]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as aside:
        with (
            visiting(settings) as pod,
            program(settings, pod, *send, stdout=subprocess.PIPE) as process,
        ):
            _unpack(process, Path(aside))
        return _keep(Path(aside), folder) / PAGE


def _unpack(process: subprocess.Popen[bytes], aside: Path) -> None:
    """Unpacks what the program sends; if the program fails, it says why itself."""
    assert process.stdout
    with tempfile.TemporaryFile() as received:
        shutil.copyfileobj(process.stdout, received)
        received.seek(0)
        if process.wait():
            return
        try:
            with tarfile.open(fileobj=received) as archive:
                archive.extractall(aside, filter="data")
        except tarfile.TarError as error:
            raise UserError(f"The copy of the report broke off ({error}): fetch it again.") from None


def _keep(aside: Path, folder: Path) -> Path:
    """Moves a report to its place, replacing any older copy."""
    (page,) = aside.glob(f"*/{PAGE}")
    kept = folder / page.parent.name
    if kept.exists():
        shutil.rmtree(kept)
    return page.parent.rename(kept)
