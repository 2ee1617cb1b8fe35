"""What is noted on a pushed model, and on a blessing for its push."""

PUSHED, DESTINATION, VERSION, MODEL_ID = "pushed", "pushed_destination", "pushed_version", "model_id"
DIGEST = "digest"  # what the model is known by, in every store and in the serving directory
REFUSED = "refused"  # why a blessed model was not pushed; empty where it was

# On a blessing: digest of the model in production that the candidate was held against, empty for none
SERVED = "served"
OPPONENTS = "opponents"  # on a blessing, as JSON: digests of all that it was held against, by what they are
ACCURACY = "accuracy"  # on a blessing: that of the candidate on the test split
