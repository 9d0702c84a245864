"""The real servers and tools that tests use, and servers that fail in a given way.

A tool is taken from ``.tools/bin`` of the repository if it is there, otherwise from the PATH. Where it is
missing, the test that needs it is skipped and says so; where ``CI`` is set it fails instead, because there
nobody reads what was skipped.

    process.py      starts a server and waits until it is ready
    pushgateway.py  Debian's prometheus-pushgateway
    prometheus.py   Debian's prometheus and promtool
    controlled.py   a server that a test stops, freezes and starts again
    alertmanager.py Debian's Alertmanager and amtool
    mail.py         a mail server
    postgresql.py   Debian's PostgreSQL
    redis.py        Debian's Redis
    https.py        HTTPS with a certificate that is made for the moment
    chromium.py     Debian's Chromium, driven by Playwright
    axe.py          what keeps people from using a page, found by axe-core inside the browser
    ctrf.py         the reference validator of CTRF, for node
    gateways.py     what stands in for a Pushgateway that fails
"""
