"""Baseline and BaselineData: the nodes that find the model in production, and the data that it was trained on."""

from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.baseline.resolvers import ProductionDataStrategy, ProductionStrategy


def baseline_resolver(candidate: Channel) -> resolver.Resolver:
    """Returns the node that finds the baseline of a candidate model."""
    return resolver.Resolver(
        strategy_class=ProductionStrategy,
        candidate=candidate,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        pushed_model=Channel(type=standard_artifacts.PushedModel),
    ).with_id("Baseline")


def data_resolver(current: Channel) -> resolver.Resolver:
    """Returns the node that finds the statistics with which those of the current data are compared."""
    return resolver.Resolver(
        strategy_class=ProductionDataStrategy,
        current=current,
        statistics=Channel(type=standard_artifacts.ExampleStatistics),
        pushed_model=Channel(type=standard_artifacts.PushedModel),
    ).with_id("BaselineData")
