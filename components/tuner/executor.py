"""The executor of the Tuner: TFX's."""

from tfx.components.tuner.executor import Executor

from graftline.features.on_beam import PassOnBeam


class TunerExecutor(PassOnBeam, Executor):
    """TFX's Tuner, whose pass over the images may be Beam's."""
