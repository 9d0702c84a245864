"""What every test of the project shares."""

import os
import signal

from hypothesis import settings

# Who starts the tests in the background has Ctrl-C ignored for them, and for every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The plugins of the runs that tests start are rewritten by pytest once, not for each run and each of its workers.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
