"""The page as text: complete, small, and harmless whatever its files are called."""

import base64
import itertools
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from components.report import page
from components.report.content import Gallery, GalleryImage, Report
from graftline.artifacts.metrics import LOG_LOSS
from tests import tiny
from tests.components.report import sample
from tests.exif import secretive


class Reader(HTMLParser):
    """Parses a page as a browser would."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def text() -> str:
    return page.render(sample.report(), None)


def strings(value: object) -> Iterator[str]:
    """Yields every text in a report."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.items():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from strings(getattr(value, field.name))


@pytest.mark.parametrize("num_classes", [2, 3, 40])
def test_every_text_of_the_report_is_there(num_classes):
    report = sample.report(num_classes)
    reader = Reader(page.render(report, None))
    shown = "\n".join(
        [*reader.texts, *reader.attributes("alt"), *reader.attributes("id"), *reader.attributes("datetime")]
    )
    parts = replace(
        report,
        facts=replace(report.facts, settings={}, serving={}),
        numbers=replace(report.numbers, measured={}),  # its keys are only for programs
        verdict=replace(report.verdict, outcome=""),  # only in the card; the page lists the reasons
    )
    for found in strings([getattr(parts, field.name) for field in fields(Report)]):
        assert found.split("#")[0] in shown or found in report.facts.settings, found


def test_every_number_of_the_report_is_there(text):
    report = sample.report()
    shown = " ".join(Reader(text).texts)
    numbers = report.numbers
    fractions = [
        report.verdict.accuracy,
        *report.verdict.accuracy_interval,
        report.verdict.baseline_accuracy,
        *(value for score in numbers.scores for value in (score.precision, score.recall, score.f1)),
        *(part.accuracy for part in numbers.slices),
        *(value for phase in report.phases for value in (*phase.accuracy, *phase.val_accuracy, phase.test_accuracy)),
        *(export.accuracy for export in report.exports),
    ]
    plain = [
        *(f"{value:.4f}" for phase in report.phases for value in (*phase.loss, *phase.val_loss)),
        *(f"{curve.area:.4f}" for curve in (*numbers.roc, *numbers.precision_recall)),
        *(str(count) for row in numbers.confusion for count in row),
        *(f"{count:,}" for counts in report.data.counts.values() for count in counts.values()),
        f"{numbers.calibration.ece:.4f}",
        f"{numbers.calibration.temperature:.3f}",
        f"{numbers.calibration.ece_without:.4f}",
        f"{numbers.calibration.log_loss:.4f}",
        f"{numbers.calibration.log_loss_without:.4f}",
        f"{numbers.measured[LOG_LOSS.key]:.4f}",
        "2,259,265",
        "18 of 328",
        "2 min 23 s",
    ]
    for found in [*(f"{100 * value:.2f} %" for value in fractions), *plain]:
        assert re.search(rf"(?<![\d.]){re.escape(found)}(?!\d)", shown), found
    for name in ("training.phase_1.learning_rate", "latency_ms.1.p99", "data.max_examples"):
        assert name in shown


def test_nothing_is_fetched_from_anywhere(text):
    reader = Reader(text)
    assert not re.search(r"https?:|(?<!:)//[a-z]|@import", re.sub(r"base64,[\w+/=]+", "", text))
    assert all(source.startswith("data:") for source in reader.attributes("src"))
    assert all(link.startswith(("#", "data:")) for link in reader.attributes("href"))
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_names_of_files_and_classes_cannot_add_anything_to_the_page(text):
    reader = Reader(text)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert sample.SCRIPT not in text
    assert "{{ 7 * 7 }}.jpg" in reader.texts
    shown = [image.image_id for gallery in sample.report().galleries for image in gallery.images]
    assert set(shown) <= set(reader.texts)


def test_a_name_that_turns_the_writing_around_turns_itself_alone(text):
    assert f"<bdi>{sample.TURNED}.jpg</bdi>" in text


def test_links_lead_somewhere_and_ids_are_unique(text):
    reader = Reader(text)
    ids = reader.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [link[1:] for link in reader.attributes("href") if link.startswith("#")]
    assert targets
    assert set(targets + reader.attributes("aria-controls") + reader.attributes("aria-labelledby")) <= set(ids)


def test_every_image_has_an_alternative_text(text):
    alternatives = [attributes.get("alt") for tag, attributes in Reader(text).tags if tag == "img"]
    assert len(alternatives) == 18
    assert all(alternatives)


def test_headings_are_in_order(text):
    levels = [int(tag[1]) for tag, _ in Reader(text).tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_heat_maps_lie_over_the_images_of_a_model_that_has_them(tmp_path, text):
    explained = page.render(sample.report(images=2), str(tiny.export(tmp_path, sample.NAMES)))
    assert explained.count('class="heat"') == 6
    assert 'id="heat"' in explained
    assert "this model does not explain its answers" not in explained
    assert 'class="heat"' not in text
    assert "this model does not explain its answers" in text


def test_the_page_of_2000_test_images_is_small(tmp_path):
    photos = [GalleryImage(photo(seed), f"{seed}.jpg", "test", "cat", "dog", 0.9) for seed in range(24)]
    report = sample.report(examples=2_000)
    galleries = [Gallery(f"kind{n}", "Kind", "Why.", photos * (1 + (n == 3)), 2_000) for n in range(4)]
    text = page.render(replace(report, galleries=galleries), str(tiny.export(tmp_path, sample.NAMES)))
    assert len(text.encode()) < 5_000_000


def test_nothing_that_a_camera_wrote_into_a_photo_is_left_in_the_page(tmp_path):
    shown = [GalleryImage(secretive(), "a.jpg", "test", "cat", "dog", 0.9)]
    report = replace(sample.report(images=2), galleries=[Gallery("mistakes", "Kind", "Why.", shown, 1)])
    text = page.render(report, str(tiny.export(tmp_path, sample.NAMES)))
    pictures = [base64.b64decode(found) for found in re.findall(r"data:image/\w+;base64,([\w+/=]+)", text)]
    assert len(pictures) >= 2, "the photo, and the heat map over it"
    for written in [text.encode(), *pictures]:
        assert not any(name in written for name in (b"Secret", b"Exif", b"EXIF", b"xmpmeta"))


def photo(seed: int) -> bytes:
    """Returns a JPEG of noise, which takes more bytes than any photo with as many pixels."""
    return tiny.tf.io.encode_jpeg(np.random.default_rng(seed).integers(0, 256, (375, 500, 3)).astype(np.uint8)).numpy()


def test_the_same_report_gives_the_same_page(text):
    assert page.render(sample.report(), None) == text


@pytest.mark.parametrize(
    ("blessed", "servable", "told", "goes"),
    [
        (True, True, "Blessed", "Serving directory"),
        (True, False, "Blessed, but cannot be served", "Would have been pushed to"),
        (False, True, "Not blessed", "Would have been pushed to"),
    ],
)
def test_the_verdict_comes_first(blessed, servable, told, goes):
    report = sample.report(images=0)
    verdict = replace(report.verdict, blessed=blessed, servable=servable, reasons=[])
    text = page.render(replace(report, verdict=verdict), None)
    assert f'<h2 id="verdict-title">{told}</h2>' in text
    assert f"<dt>{goes}</dt>" in text
    assert text.index("<h2") == text.index('<h2 id="verdict-title">')


def test_margins_tell_which_bound_is_missed(text):
    rows = dict(re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', text))
    assert "at least 95.00 %" in rows["test accuracy"]
    assert "+1.33 points" in rows["test accuracy"]
    assert "✓ yes" in rows["test accuracy"]
    missed = rows["test accuracy above the model in production"]
    assert "\N{MINUS SIGN}0.17 points" in missed
    assert "✗ no" in missed
    assert "at most 4 GB" in rows["memory of a server"]


def test_a_first_run_has_no_baseline_no_drift_and_nothing_in_production():
    report = sample.report(images=0)
    nothing = "Nothing is in production yet, so the candidate was compared with no other."
    verdict = replace(
        report.verdict, baseline_accuracy=None, difference_interval=None, in_production=None, notes=[nothing]
    )
    data = replace(report.data, drift=[], drift_against=None, left_out={})
    facts = replace(report.facts, serving={}, steps=[], parameters=0)
    text = page.render(replace(report, verdict=verdict, data=data, facts=facts, exports=[]), None)
    for told in (
        nothing,
        "nothing, or a version that no longer exists",
        "No image was left out",
        "no earlier data to compare with yet",
    ):
        assert told in text
    assert 'id="exports"' not in text
    assert "candidate is better" not in text


def test_a_model_without_a_temperature_says_so(text):
    report = sample.report(images=0)
    calibration = replace(report.numbers.calibration, temperature=None)
    without = page.render(replace(report, numbers=replace(report.numbers, calibration=calibration)), None)
    assert "no temperature was fitted" in without
    assert "no temperature was fitted" not in text


def test_what_is_confused_most_comes_first():
    numbers = replace(sample.report().numbers, confusion=[[8, 2, 0], [5, 4, 1], [0, 0, 10]])
    found = page.most_confused(numbers)
    assert [(pair.true, pair.predicted, pair.images, pair.share) for pair in found] == [
        (sample.NAMES[1], "cat", 5, 0.5),
        ("cat", sample.NAMES[1], 2, 0.2),
        (sample.NAMES[1], sample.NAMES[2], 1, 0.1),
    ]


def test_of_very_many_classes_the_confused_pairs_stand_for_the_matrix(monkeypatch):
    monkeypatch.setattr(page, "MOST_CLASSES", 3)
    text = page.render(sample.report(4, images=0), None)
    assert 'class="confusion' not in text
    assert "too many classes for a matrix" in text
