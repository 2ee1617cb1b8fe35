"""Prints what all checks find: `python -m graftline.doctor`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from graftline.doctor import BAD, GOOD, SET_UP, WARNING, Finding, environment, machine
from graftline.doctor.probe import Probe

MACHINE = (
    *environment.CHECKS,
    machine.check_processor,
    machine.check_memory,
    machine.check_tools,
)


def examine() -> Iterator[Finding]:
    """Yields the findings, check by check."""
    probe = Probe()
    for check in MACHINE:
        yield from guarded(check)
    for check_with_probe in (machine.check_tensorflow, machine.check_arithmetic):
        yield from guarded(check_with_probe, probe)
    try:
        from graftline.settings.load import load

        settings = load()
    except Exception as error:  # its message has one line per mistake
        for line in str(error).splitlines():
            yield Finding(BAD, "settings", line.strip())
        yield Finding(
            WARNING, "not checked", "data, disk, weights, metadata, lock, leftovers", "correct the settings first"
        )
        return
    yield Finding(GOOD, "settings", f"{settings.name}: valid")
    from graftline.doctor import project

    for check_settings in (
        project.check_weights,
        project.check_lock,
        project.check_store,
        project.check_left_overs,
        project.check_places,
    ):
        yield from guarded(check_settings, settings)
    for check_both in (project.check_dataset, project.check_disk):
        yield from guarded(check_both, settings, probe)


def guarded(check: Callable[..., Iterator[Finding]], *arguments: Any) -> Iterator[Finding]:
    """Yields the findings of a check; an error in it becomes one of them."""
    try:
        yield from check(*arguments)
    except Exception as error:
        name = check.__name__.replace("check_", "").replace("_", " ")
        reason = str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"
        yield Finding(BAD, name, reason, SET_UP)


def main() -> int:
    """Prints one line per finding, with its fix below; returns the exit status."""
    found_bad = False
    for finding in examine():
        found_bad |= finding.mark == BAD
        print(f"{finding.mark} {finding.what:<15}{finding.value}", flush=True)
        if finding.cure:
            print(f"{'':<17}→ {finding.cure}.", flush=True)
    return int(found_bad)


if __name__ == "__main__":
    sys.exit(main())
