"""What every test of the project shares."""

import os
import signal

# Who starts the tests in the background has Ctrl-C ignored for them, and for every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The plugins of the runs that tests start are rewritten by pytest once, not for each run and each of its workers.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
