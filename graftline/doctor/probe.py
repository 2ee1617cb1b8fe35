"""Questions to TensorFlow, in a separate process: its import can crash or hang, and other checks can run meanwhile.

`python -m graftline.doctor.probe` answers each question with one line of JSON, `{"question": {"is": …}}` or, if there is no
answer, `{"question": {"error": "…"}}`.
"""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
from typing import Any

from graftline.base.paths import HOME, HOME_VARIABLE, PROJECT

SECONDS = 60  # to wait for all answers


class Probe:
    """The separate process."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            HOME_VARIABLE: str(HOME),  # the same as here, although the probe runs in another folder
            "TF_CPP_MIN_LOG_LEVEL": "0",  # TensorFlow only logs why it sees no GPU
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "graftline.doctor.probe"],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def answer(self, question: str) -> Any:
        """Returns the answer to one of `QUESTIONS`.

        Raises:
          RuntimeError: if there is no answer, with the reason.
        """
        found = self._answers.get(question)
        if found is None:
            raise RuntimeError(self._end())
        if "error" in found:
            raise RuntimeError(found["error"])
        return found["is"]

    @property
    def log(self) -> str:
        """What the process wrote to standard error."""
        return self._outputs[1]

    def _end(self) -> str:
        last = self.log.strip().splitlines()[-1:]
        return ": ".join([f"a process that imports TensorFlow ended with status {self._process.returncode}", *last])

    @functools.cached_property
    def _answers(self) -> dict[str, dict[str, Any]]:
        lines = [json.loads(line) for line in self._outputs[0].splitlines() if line.startswith("{")]
        return {question: found for line in lines for question, found in line.items()}

    @functools.cached_property
    def _outputs(self) -> tuple[str, str]:
        try:
            return self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.communicate()


def tensorflow() -> dict[str, Any]:
    """Returns TensorFlow's version, and the GPUs that it sees."""
    import tensorflow as tf

    return {"version": tf.__version__, "gpus": [device.name for device in tf.config.list_physical_devices("GPU")]}


def bfloat16() -> bool:
    """Returns whether the processor supports bfloat16."""
    from graftline.network import inference

    return inference.has_bfloat16()


def dataset() -> dict[str, Any]:
    """Returns how many images there are, how many bytes they take, and the URLs of what must be downloaded."""
    from graftline.settings.load import load

    return load().data.source.size()


def writes() -> float:
    """Returns how many bytes a run writes: a copy of the images, and their features."""
    import numpy as np

    from graftline.network import backbone
    from graftline.settings.load import load

    given, found = load(), dataset()
    images = min(found["images"], given.data.max_examples or math.inf)
    base = backbone.build(given.model, None)
    prefix = backbone.prefix(base, given.model, backbone.cut(base, given.model.fine_tune_at))
    row = sum(math.prod(output.shape[1:]) for output in prefix.outputs) * np.dtype(given.prefix.cache_dtype).itemsize
    return found["bytes"] + images * row * len(given.training.views)


QUESTIONS = {"tensorflow": tensorflow, "bfloat16": bfloat16, "dataset": dataset, "writes": writes}


def main() -> None:
    """Answers all questions."""
    for question, answer in QUESTIONS.items():
        try:
            found = {"is": answer()}  # type: ignore[operator]
        except Exception as error:  # whatever a broken environment raises
            told = type(error).__name__ == "UserError"
            found = {"error": str(error) if told else f"{type(error).__name__}: {error}"}
        print(json.dumps({question: found}), flush=True)


if __name__ == "__main__":
    main()
