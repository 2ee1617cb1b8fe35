"""Takes the model in production on the cluster back: there, by the program that does it on one machine too."""

from graftline.base.errors import UserError
from graftline.serving.pushes import user
from graftline.settings.load import CONFIG_VARIABLE
from graftline.settings.settings import Settings
from kubeflow.visits.visitor import program, visiting

# The data that the pod's own settings name
ROLL_BACK = f'exec python -m graftline.cli rollback --data "${CONFIG_VARIABLE}" --reason "$0"'


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
        raise UserError("--reason is empty: say why the model is taken back.")
    # Who did it is kept too, and is who asks for it here
    command = ["env", f"LOGNAME={user()}", "sh", "-c", ROLL_BACK, why]
    with visiting(settings) as pod, program(settings, pod, *command):
        pass
