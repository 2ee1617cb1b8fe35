"""What is noted on a pushed model."""

PUSHED, DESTINATION, VERSION, MODEL_ID = "pushed", "pushed_destination", "pushed_version", "model_id"
