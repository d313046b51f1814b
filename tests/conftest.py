"""For all tests: how long one takes is no verdict, least of all on a machine that does other things too."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
