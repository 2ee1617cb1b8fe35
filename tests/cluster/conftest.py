"""Prints the table of what held on a cluster, last of all."""

ROWS = "tests/cluster/test_cluster.py"
LINE = "{:62}  {:7}  {:>7}  {}"


def pytest_terminal_summary(terminalreporter) -> None:
    """Prints a line for each row, if there are any: what was tried, how it went, how long it took, what was seen."""
    rows = [
        (report.location[1], outcome, report)
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(outcome, [])
        if report.nodeid.startswith(ROWS)
    ]
    if rows:
        terminalreporter.section("what held on the cluster")
        terminalreporter.write_line(LINE.format("row", "result", "seconds", "seen").rstrip())
    for _, outcome, report in sorted(rows, key=lambda row: row[0]):
        row = report.location[2].removeprefix("test_").replace("_", " ")
        terminalreporter.write_line(LINE.format(row, outcome, f"{report.duration:.0f}", _seen(report)).rstrip())


def _seen(report) -> str:
    """Returns what a row found, or why it did not hold."""
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if report.failed:
        return report.longrepr.reprcrash.message.splitlines()[0]
    return "; ".join(str(value) for _, value in report.user_properties)
