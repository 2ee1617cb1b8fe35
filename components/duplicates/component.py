"""Duplicates: finds images that occur more than once, as copies or as look-alikes.

An image's bytes determine its split, so copies share a split. A resized or recompressed copy, or the next photo of a series,
may be in another one, where it makes validation and test look better than they are. So the Evaluator leaves out test images
that look like a training image. They are found by perceptual hash: 64 bits, of which those of look-alikes differ in a few
(C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010).
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact

from components.duplicates.images import Seen
from components.duplicates.search import find, see
from graftline.artifacts import records
from graftline.artifacts.duplicates import REPORT_FILE, DuplicatesReport


@component
def Duplicates(  # noqa: N802 (a component is named as a class)
    examples: InputArtifact[standard_artifacts.Examples],
    report: OutputArtifact[DuplicatesReport],
) -> None:
    """Compares the images of all splits.

    Args:
      examples: the images.
      report: what was found.
    """
    found = find(_seen(examples))
    Path(report.uri, REPORT_FILE).write_text(json.dumps(asdict(found), indent=1))


def _seen(examples: Artifact) -> Iterator[Seen]:
    for split in artifact_utils.decode_split_names(examples.split_names):
        yield from records.each(examples.uri, split, functools.partial(see, split=split))
