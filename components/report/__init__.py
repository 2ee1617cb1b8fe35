"""ReportGen: what a person sees of a run, as one page and as a model card."""

import logging

# Before anything imports it: it would complain of its caches wherever HOME cannot be written
logging.getLogger("matplotlib").setLevel(logging.ERROR)
