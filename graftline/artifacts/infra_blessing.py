"""What ServingCheck records on its blessing."""

WARM_UPS = 4  # requests that TF Serving sends itself before it serves

BLESSED, HAS_MODEL, REASONS, MEASURED, RULES = "blessed", "has_model", "reasons", "measured", "rules"
