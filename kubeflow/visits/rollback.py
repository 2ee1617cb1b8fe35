"""Rolls back the model in production on the cluster: runs the same program as on one machine, but in a pod."""

from graftline.base.errors import UserError
from graftline.serving.pushes import user
from graftline.settings.load import CONFIG_VARIABLE
from graftline.settings.settings import Settings
from kubeflow.visits.visitor import program, visiting

# On the data named by the pod's own settings
ROLL_BACK = f'exec python -m graftline.cli rollback --data "${CONFIG_VARIABLE}" --reason "$0"'


def roll_back(settings: Settings, why: str) -> None:
    """Rolls back the model, and prints what the program says.

    Args:
      settings: the pipeline's settings.
      why: the reason, which is recorded.

    Raises:
      ProgramError: if the program refuses, in its own words and with its exit status.
      UserError: if no reason is given, or the pod cannot be reached.
    """
    if not why.strip():
        raise UserError("--reason is empty: say why you roll the model back.")
    # The rollback also records its user: the one who asks for it here
    command = ["env", f"LOGNAME={user()}", "sh", "-c", ROLL_BACK, why]
    with visiting(settings) as pod, program(settings, pod, *command):
        pass
