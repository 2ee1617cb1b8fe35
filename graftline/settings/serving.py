"""Settings of serving: the time and memory that it may take."""

from typing import Annotated

from pydantic import Field

from graftline.settings.section import Section


class Serving(Section):
    """Time and memory that serving a model may take, in a fresh process on the machine of the check."""

    tensorflow_serving: str | None = None
    """Tag of the image tensorflow/serving that TFX's InfraValidator runs on a cluster, instead of a process here."""
    max_load_seconds: Annotated[float, Field(gt=0)] = 60
    """Most seconds until a fresh process has loaded the model."""
    max_memory_gb: Annotated[float, Field(gt=0)] = 4
    """Most memory of that process, in GB."""
    max_latency_ms: Annotated[float, Field(gt=0)] = 1000
    """Most milliseconds to answer a request with one image, as the 99th percentile."""
