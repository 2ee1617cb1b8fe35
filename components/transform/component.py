"""Transform: TFX's, with the function of `preprocessing`."""

from tfx.components.transform.component import Transform
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import BaseChannel

from graftline.artifacts.examples import SPLITS, TRAIN
from graftline.settings.training import Model


def transform(examples: BaseChannel, schema: BaseChannel, model: Model, max_pixels: int) -> Transform:
    """Returns the node that writes the graph through which images are decoded, resized and scaled.

    Args:
      examples: the images as they are encoded.
      schema: the reviewed one.
      model: of which the size of the images that come out, and how they are resized, is used.
      max_pixels: an image that claims more is refused.
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
