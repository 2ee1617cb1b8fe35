"""Transform: TFX's, with the function of `preprocessing`."""

from tfx.components.transform.component import Transform
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import BaseChannel

from graftline.artifacts.examples import SPLITS, TRAIN


def transform(examples: BaseChannel, schema: BaseChannel, image_size: int) -> Transform:
    """Returns the node that writes the graph through which images are decoded, resized and scaled.

    Args:
      examples: the images as they are encoded.
      schema: the reviewed one.
      image_size: edge of the square images that come out, in pixels.
    """
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        custom_config={"image_size": image_size},
        splits_config=SplitsConfig(analyze=[TRAIN], transform=list(SPLITS)),
        materialize=False,  # float32 images are 30 times the size of the encoded ones
        disable_statistics=True,
    )
