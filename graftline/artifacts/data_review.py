"""What DataGate found in the data of a run, and what a person has accepted: the artifact, its file, and how it is read."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tfx.types.artifact import Artifact

from graftline.base.errors import UserError, short

REVIEW_FILE = "review.json"


class DataReview(Artifact):
    """What DataGate found, a `Review` as JSON."""

    TYPE_NAME = "DataReview"


@dataclass(frozen=True)
class Acceptance:
    """A person's decision, after a look at the data, that runs may use it.

    Attributes:
      data: identity of its statistics; other data is not accepted.
      who: the user's name.
      when: ISO time in UTC.
      why: the reason that was given.
    """

    data: str
    who: str
    when: str
    why: str

    @property
    def told(self) -> str:
        """The acceptance in words."""
        return f"accepted by {self.who} on {self.when}: {self.why}"


@dataclass(frozen=True)
class Review:
    """What there is to know about data that a run went on with.

    Attributes:
      unusual: a line for each difference from the data of the model in production that does not stop a run.
      faults: a line for each problem that would have stopped the run.
      acceptance: who accepted the faults; None if there are none.
    """

    unusual: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    acceptance: Acceptance | None = None


def write(uri: str, review: Review) -> None:
    """Writes a review to the folder of an artifact."""
    Path(uri, REVIEW_FILE).write_text(json.dumps(asdict(review), indent=1))


def read(uri: str) -> Review:
    """Returns the review that an artifact holds."""
    values: dict[str, Any] = json.loads(Path(uri, REVIEW_FILE).read_text())
    given = values.pop("acceptance")
    return Review(**values, acceptance=Acceptance(**given) if given else None)


def identity(statistics_uri: str) -> str:
    """Returns a hash of the statistics of all splits."""
    digest = hashlib.sha256()
    for path in sorted(Path(statistics_uri).glob("Split-*/FeatureStats.pb")):
        digest.update(f"{path.parent.name}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def accept(file: Path, acceptance: Acceptance) -> None:
    """Adds an acceptance to a pipeline's file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(f"{json.dumps(asdict(acceptance))}\n")


def accepted(file: Path, data: str) -> Acceptance | None:
    """Returns the latest acceptance of data; None if it was not accepted.

    Args:
      file: the pipeline's file, which may be missing.
      data: identity of its statistics.

    Raises:
      UserError: if a line of the file is damaged.
    """
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    try:
        found = [Acceptance(**json.loads(line)) for line in lines if line.strip()]
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} has a damaged line ({short(error)}): fix or delete it.") from None
    return next((one for one in reversed(found) if one.data == data), None)
