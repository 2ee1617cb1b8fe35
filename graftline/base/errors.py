"""Mistakes that are the user's to mend, and how they are told."""

import difflib
import textwrap


class UserError(Exception):
    """A mistake of the user's, or of the data's: told in its own words, without a traceback.

    Attributes:
      status: the exit status of the program that it ends.
    """

    status = 1


class SettingsError(UserError):
    """All mistakes of a configuration, a line each."""

    status = 2


def did_you_mean(name: str, known: list[str]) -> str:
    """Says which of the known names are close to one that is not known."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"the known ones are {', '.join(known)}"


def short(error: BaseException | str) -> str:
    """Returns an error, or its message, as part of one sentence."""
    return textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" …").rstrip(".:")
