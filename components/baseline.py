"""The baseline: the blessed model that a candidate must not be worse than."""

from tfx.dsl.components.common import resolver
from tfx.types import Artifact, standard_artifacts
from tfx.types.channel import Channel

CANDIDATE, MODEL, BLESSING = "candidate", "model", "model_blessing"


class LatestBlessedStrategy(resolver.ResolverStrategy):
    """Resolves the latest blessed model that is not the candidate itself.

    TFX's own strategy takes any, so that a second run would compare a cached candidate with itself, evaluate it again and
    push it again. Here a candidate that is the latest blessed model meets the baseline that it met before.
    """

    def resolve_artifacts(self, store: object, input_dict: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Returns the candidate as it is, the baseline and its blessing; the last two are empty where there is none.

        Args:
          store: the metadata store, unused: all that counts is on the artifacts.
          input_dict: `candidate`, `model` (all models so far) and `model_blessing` (all blessings so far).
        """
        candidate = input_dict[CANDIDATE][0]
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict[BLESSING]
            if blessing.get_int_custom_property("blessed")
        }
        blessed = sorted((model for model in input_dict[MODEL] if model.id in blessings), key=lambda model: model.id)
        baseline = blessed[-1] if blessed else None
        if baseline is not None and baseline.id == candidate.id:
            earlier = blessings[candidate.id].get_int_custom_property("baseline_model_id")
            baseline = next((model for model in blessed if model.id == earlier), None)
        found = [baseline] if baseline is not None else []
        return {CANDIDATE: [candidate], MODEL: found, BLESSING: [blessings[model.id] for model in found]}


def baseline_resolver(candidate: Channel) -> resolver.Resolver:
    """Returns the node that finds the baseline of a candidate model."""
    return resolver.Resolver(
        strategy_class=LatestBlessedStrategy,
        candidate=candidate,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
    ).with_id("Baseline")
