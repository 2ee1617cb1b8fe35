"""What DataGate says of the data of a run, and what a person has accepted: the artifact, its file, and how it is read."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tfx.types.artifact import Artifact

from graftline.base.errors import UserError, short

REVIEW_FILE = "review.json"


class DataReview(Artifact):
    """What DataGate says, a `Review` as JSON."""

    TYPE_NAME = "DataReview"


@dataclass(frozen=True)
class Acceptance:
    """That a person has looked at data and lets runs go on with it.

    Attributes:
      data: identity of its statistics; other data is not accepted by this.
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
        """The acceptance for people."""
        return f"accepted by {self.who} on {self.when}: {self.why}"


@dataclass(frozen=True)
class Review:
    """What is to be said of data that a run went on with.

    Attributes:
      unusual: a line for each thing that is unlike the data of the model in production, and stops no run.
      faults: a line for each thing that would have stopped the run.
      acceptance: who accepted those; None where there are none.
    """

    unusual: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    acceptance: Acceptance | None = None


def write(uri: str, review: Review) -> None:
    """Keeps a review in the folder of an artifact."""
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
    """Adds an acceptance to the file of a pipeline."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(f"{json.dumps(asdict(acceptance))}\n")


def accepted(file: Path, data: str) -> Acceptance | None:
    """Returns the latest acceptance of data.

    Args:
      file: that of the pipeline, which may be missing.
      data: identity of its statistics.

    Raises:
      UserError: where a line of the file is damaged.
    """
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    try:
        found = [Acceptance(**json.loads(line)) for line in lines if line.strip()]
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} has a line that is damaged ({short(error)}): mend it, or delete that line.") from None
    return next((one for one in reversed(found) if one.data == data), None)
