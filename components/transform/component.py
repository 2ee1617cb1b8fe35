"""Transform: TFX's Transform with our `preprocessing_fn`."""

from tfx.components.transform.component import Transform
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import BaseChannel

from graftline.artifacts.examples import SPLITS, TRAIN
from graftline.settings.training import Model


def transform(examples: BaseChannel, schema: BaseChannel, model: Model, max_pixels: int) -> Transform:
    """Returns the node that writes the graph that decodes, resizes and scales images.

    Args:
      examples: the encoded images.
      schema: the reviewed schema.
      model: settings that give the size of the resulting images, and how they are resized.
      max_pixels: an image that claims more pixels is refused.
    """
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        custom_config={"image_size": model.image_size, "resize": model.resize, "max_pixels": max_pixels},
        splits_config=SplitsConfig(analyze=[TRAIN], transform=list(SPLITS)),
        materialize=False,  # float32 images are 30 times the size of the encoded ones
        disable_statistics=True,
    )
