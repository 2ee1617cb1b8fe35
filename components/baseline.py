"""The baseline: the model that a candidate must not be worse than, which is the one in production."""

from tfx.dsl.components.common import resolver
from tfx.types import Artifact, standard_artifacts
from tfx.types.channel import Channel

from components import pusher

CANDIDATE, MODEL, BLESSING, PUSHED = "candidate", "model", "model_blessing", "pushed_model"


class ProductionStrategy(resolver.ResolverStrategy):
    """Resolves the model in production, as long as that is not the candidate itself.

    TFX's own strategy takes the latest blessed one: that may have been rolled back, or be the cached candidate of a second
    run, which would be compared with itself, evaluated again and pushed again. Here a candidate that is in production meets
    the baseline that it met before.
    """

    def resolve_artifacts(self, store: object, input_dict: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Returns the candidate as it is, the baseline and its blessing, both empty where there is none, and no push.

        Args:
          store: the metadata store, unused: all that counts is on the artifacts.
          input_dict: `candidate`, and all models, blessings and pushes so far.
        """
        candidate = input_dict[CANDIDATE][0]
        models = {model.id: model for model in input_dict[MODEL]}
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict[BLESSING]
            if blessing.get_int_custom_property("blessed")
        }
        pushes = sorted(input_dict[PUSHED], key=lambda push: push.id)
        served = [
            push.get_int_custom_property(pusher.MODEL_ID)
            for push in pushes
            if push.get_int_custom_property(pusher.PUSHED)
        ]
        in_production = served[-1] if served else None
        if in_production == candidate.id and candidate.id in blessings:
            in_production = blessings[candidate.id].get_int_custom_property("baseline_model_id")
        found = [in_production] if in_production in models and in_production in blessings else []
        return {
            CANDIDATE: [candidate],
            MODEL: [models[number] for number in found],
            BLESSING: [blessings[number] for number in found],
            PUSHED: [],
        }


def baseline_resolver(candidate: Channel) -> resolver.Resolver:
    """Returns the node that finds the baseline of a candidate model."""
    return resolver.Resolver(
        strategy_class=ProductionStrategy,
        candidate=candidate,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        pushed_model=Channel(type=standard_artifacts.PushedModel),
    ).with_id("Baseline")
