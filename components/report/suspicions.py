"""The images that deserve a look, as a table that `graftline clean-up` starts from."""

import json
from collections.abc import Iterator
from pathlib import Path

from components.report.galleries import Knowledge, Seen, contradiction
from graftline.artifacts.examples import LEFT_OUT_FILE
from graftline.artifacts.findings import Finding


def find(knowledge: Knowledge, seen: Seen, examples_uri: str) -> list[Finding]:
    """Returns the images that deserve a look, each once, the likeliest label errors first.

    Args:
      knowledge: what is known about the images.
      seen: the images.
      examples_uri: folder of the splits.
    """
    found = [*_contradictions(knowledge, seen), *_label_errors(knowledge, seen), *_copies(knowledge, seen)]
    found += [*_alike(knowledge, seen), *_left_out(examples_uri)]
    return list({finding.file: finding for finding in reversed(found)}.values())[::-1]


def _contradictions(knowledge: Knowledge, seen: Seen) -> Iterator[Finding]:
    for group in knowledge.copies.contradictions:
        for image_id, label in group.items():
            predicted, _ = knowledge.judgement(seen.by_id[image_id])
            suggestion = "drop" if predicted not in ("", label) else ""
            yield Finding(image_id, label, contradiction(image_id, group), suggestion)


def _label_errors(knowledge: Knowledge, seen: Seen) -> Iterator[Finding]:
    judged = knowledge.judged
    for number in judged.suspects:
        example, predicted = seen.by_row[judged.rows[number]], knowledge.classes[judged.predicted[number]]
        reason = f"likely label error: {judged.own[number]:.1%} for {example.label}"
        yield Finding(example.image_id, example.label, reason, f"move to {predicted}")


def _copies(knowledge: Knowledge, seen: Seen) -> Iterator[Finding]:
    for first, *others in knowledge.copies.copied:
        for image_id in others:
            yield Finding(image_id, seen.by_id[image_id].label, f"copy of {first}", "drop")


def _alike(knowledge: Knowledge, seen: Seen) -> Iterator[Finding]:
    for pair in knowledge.copies.alike:
        (split, image_id), (other_split, other) = pair.items()
        yield Finding(image_id, seen.by_id[image_id].label, f"in {split}, looks like {other} in {other_split}")


def _left_out(examples_uri: str) -> Iterator[Finding]:
    for line in Path(examples_uri, LEFT_OUT_FILE).read_text().splitlines():
        left_out = json.loads(line)
        yield Finding(left_out["id"], "", f"left out: {left_out['reason']}", "drop")
