"""Takes the model in production on the cluster back: there, by the program that does it on one machine too."""

from graftline.base.errors import UserError
from graftline.serving import pushes
from graftline.settings.settings import Settings
from kubeflow.visits.visitor import program, visiting


def roll_back(settings: Settings, why: str) -> None:
    """Takes the model back, and prints what the program says.

    Args:
      settings: those of the pipeline.
      why: the reason, which is kept.

    Raises:
      ProgramError: where it refuses, in its own words and with its exit status.
      UserError: where no reason is given, or there is no way to it.
    """
    if not why.strip():
        raise UserError('WHY is empty: say why the model is taken back, as in `make kubeflow-rollback WHY="…"`.')
    # Who did it is kept too, and is who asks for it here
    command = ["env", f"LOGNAME={pushes.user()}", "python", "-m", "graftline.cli", "rollback", why]
    with visiting(settings) as pod, program(settings, pod, *command):
        pass
