"""What is noted on a pushed model, and on a blessing for its push."""

PUSHED, DESTINATION, VERSION, MODEL_ID = "pushed", "pushed_destination", "pushed_version", "model_id"
SERVED = (
    "served"  # on a blessing: digest of the model in production that the candidate was held against; empty for none
)
