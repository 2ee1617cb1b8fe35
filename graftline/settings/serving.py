"""Settings of serving: what it may cost."""

from typing import Annotated

from pydantic import Field

from graftline.settings.section import Section


class Serving(Section):
    """What serving a model may cost, in a fresh process on the machine of the check."""

    tensorflow_serving: str | None = None
    """Tag of the image tensorflow/serving whose server TFX's InfraValidator asks on a cluster, instead of a process here."""
    max_load_seconds: Annotated[float, Field(gt=0)] = 60
    """Seconds until a fresh process has loaded the model."""
    max_memory_gb: Annotated[float, Field(gt=0)] = 4
    """Most memory of that process, in GB."""
    max_latency_ms: Annotated[float, Field(gt=0)] = 1000
    """Milliseconds to answer a request of one image, as the 99th percentile."""
