"""BaselineData: finds the statistics of the data that the model in production was trained on."""

from pathlib import Path

from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.baseline.resolvers import SERVING_DIR, ProductionDataStrategy


def data_resolver(current: Channel, serving_dir: Path) -> resolver.Resolver:
    """Returns the node that finds the statistics to compare the current data with.

    Args:
      current: statistics of the current data.
      serving_dir: folder of the pushed versions.
    """
    return resolver.Resolver(
        strategy_class=ProductionDataStrategy,
        config={SERVING_DIR: str(serving_dir)},
        current=current,
        statistics=Channel(type=standard_artifacts.ExampleStatistics),
        pushed_model=Channel(type=standard_artifacts.PushedModel),
    ).with_id("BaselineData")
