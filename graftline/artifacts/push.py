"""What is recorded on a pushed model, and on a blessing for its push."""

PUSHED, DESTINATION, VERSION, MODEL_ID = "pushed", "pushed_destination", "pushed_version", "model_id"
DIGEST = "digest"  # identifies the model, in every store and in the serving directory
REFUSED = "refused"  # why a blessed model was not pushed; empty if it was

# On a blessing: digest of the model in production that the candidate was compared with, empty for none
SERVED = "served"
OPPONENTS = "opponents"  # on a blessing, as JSON: digests of all models that it was compared with, by their role
ACCURACY = "accuracy"  # on a blessing: the candidate's accuracy on the test split
