"""What every test of the project shares."""

import os
import signal

from hypothesis import settings

# Tests that are started in the background have Ctrl-C ignored, those under nohup the hang-up, and every process that a
# test starts inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The plugins of the runs that tests start are rewritten by pytest once, not for each run and each of its workers.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
