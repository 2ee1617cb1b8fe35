"""Errors that the user can fix, and how they are worded."""

import difflib
import textwrap


class UserError(Exception):
    """A mistake of the user, or in the data: its message is shown without a traceback.

    Attributes:
      status: the exit status of a program that ends with it.
    """

    status = 1


class SettingsError(UserError):
    """All mistakes in a configuration, one line each."""

    status = 2


def did_you_mean(name: str, known: list[str]) -> str:
    """Says which of the known names are close to an unknown one."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"the known ones are {', '.join(known)}"


def short(error: BaseException | str) -> str:
    """Returns an error, or its message, as part of one sentence."""
    return textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" …").rstrip(".:")
