"""The plots: SVG elements that can share a page, in the colors of that page."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from components.report import plots
from components.report.content import Calibration
from tests.components.report import sample

REPORT = sample.report()


def drawn(report=REPORT) -> dict[str, plots.Plot]:
    numbers = report.numbers
    return {
        "accuracy": plots.learning(report.phases, "accuracy"),
        "loss": plots.learning(report.phases, "loss"),
        "roc": plots.roc(numbers.roc),
        "precision_recall": plots.precision_recall(numbers.precision_recall),
        "reliability": plots.reliability(numbers.calibration),
        "sizes": plots.sizes(report.data),
    }


def test_lines_and_letters_have_the_colours_of_the_page_alone():
    for name, plot in drawn().items():
        used = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", plot.svg))
        assert used <= {"none", *(f"var({variable})" for variable in plots.THEME.values())}, name
        assert {"var(--quiet)", "var(--line)", "var(--s1)"} <= used, name
        assert "<style" not in plot.svg


def test_every_plot_says_what_it_shows_to_those_who_do_not_see_it():
    for plot in drawn().values():
        root = ElementTree.fromstring(plot.svg.replace("xlink:", ""))
        assert root.get("role") == "img"
        assert len(root.get("aria-label", "")) > 20
        assert root.findall(".//text")


def test_ids_differ_between_plots_and_references_stay_within():
    seen: set[str] = set()
    for plot in drawn().values():
        ids = re.findall(r'\bid="([^"]+)"', plot.svg)
        assert len(ids) == len(set(ids))
        assert seen.isdisjoint(ids)
        seen |= set(ids)
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', plot.svg)) <= set(ids)


def test_the_same_report_gives_the_same_plots():
    assert drawn() == drawn()


def test_the_start_of_fine_tuning_is_marked_where_there_is_one():
    both, first = (plots.learning(phases, "loss").svg for phases in (REPORT.phases, REPORT.phases[:1]))
    assert "start of fine-tuning" in both
    assert "start of fine-tuning" not in first


def test_names_of_classes_stay_out_of_the_drawing_and_harmless_in_its_label():
    for plot in drawn().values():
        assert "<script" not in plot.svg
    plot = plots.roc(REPORT.numbers.roc)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x_1$" in plot.svg.partition(">")[0]
    assert any(name.startswith("_an eel") for name in plot.legend)


def test_of_many_classes_those_told_worst_are_drawn():
    curves = sample.report(40).numbers.roc
    shown = plots.worst(curves)
    assert len(shown) == len(plots.SERIES)
    assert max(curve.area for curve in shown) <= min(curve.area for curve in curves if curve not in shown)
    assert plots.roc(curves).svg.count("<path") < 60
    assert plots.sizes(sample.report(40).data).legend == ["all classes"]


def test_images_of_about_one_size_are_one_dot():
    data = REPORT.data
    same = replace(data, widths=data.widths * 0 + 500, heights=data.heights * 0 + 375)
    dots = [plots.sizes(shown).svg.count("var(--s1)") for shown in (same, data)]
    assert dots[0] == 1
    assert 1 < dots[1] < 100  # of 667 images of the class


@pytest.mark.parametrize("examples", [[], [1]])
def test_next_to_no_data_is_drawn_without_complaint(examples):
    calibration = Calibration([0.5] * len(examples), [1.0] * len(examples), examples, None, 0.5, 0.5, 0.7, 0.7)
    assert "<svg" in plots.reliability(calibration).svg
    assert "<svg" in plots.roc([]).svg
    nothing = replace(REPORT.data, widths=REPORT.data.widths[:0], heights=REPORT.data.heights[:0], size_classes=[])
    assert "<svg" in plots.sizes(nothing).svg


def test_nothing_is_said_where_no_folder_can_be_made_for_caches():
    program = (
        "from components.report import plots\n"
        "from components.report.content import Calibration\n"
        "assert '<svg' in plots.reliability(Calibration([0.9], [0.8], [3], None, 0.1, 0.1, 0.2, 0.2)).svg"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(__file__).parents[3],
        env=environment | {"HOME": "/proc/nowhere"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
