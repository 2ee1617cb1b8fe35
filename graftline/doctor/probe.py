"""What is asked of TensorFlow, in a process of its own: an import can crash or hang, and others can be checked meanwhile.

`python -m graftline.doctor.probe` answers each question with a line of JSON, `{"question": {"is": …}}`; where the answer
could not be had, it is `{"question": {"error": "…"}}`.
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
    """That process."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            HOME_VARIABLE: str(HOME),  # what this process means by it, whatever folder that one is in
            "TF_CPP_MIN_LOG_LEVEL": "0",  # why TensorFlow sees no GPU is only logged
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
        """Returns what was found out about one of `QUESTIONS`.

        Raises:
          RuntimeError: where it could not be found out, with the reason.
        """
        found = self._answers.get(question)
        if found is None:
            raise RuntimeError(self._end())
        if "error" in found:
            raise RuntimeError(found["error"])
        return found["is"]

    @property
    def log(self) -> str:
        """What the process wrote on standard error."""
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
    """Returns its version, and the GPUs that it sees."""
    import tensorflow as tf

    return {"version": tf.__version__, "gpus": [device.name for device in tf.config.list_physical_devices("GPU")]}


def bfloat16() -> bool:
    """Returns whether the processor has it."""
    from graftline.network import inference

    return inference.has_bfloat16()


def dataset() -> dict[str, Any]:
    """Returns how many images are there, how many bytes they take, and the addresses of what is not there yet."""
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
