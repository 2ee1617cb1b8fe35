"""ReportGen and CardGen: a run for people, as one page and as a model card."""

import logging

# Before anything imports matplotlib, which warns about its caches if HOME is not writable
logging.getLogger("matplotlib").setLevel(logging.ERROR)
