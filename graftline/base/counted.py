"""Numbers with the name of what they count."""


def counted(number: int, thing: str) -> str:
    """Returns a number and its thing, such as `1 file` or `1,201 files`.

    Args:
      number: how many there are.
      thing: one of them; its plural ends in s.
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
