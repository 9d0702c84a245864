"""The page: what people look at, rendered here, complete without a script.

site        the routes of all pages
answer      what all pages have in common: the frame, the style sheet, refusals
rendering   templates and their filters
overview    everything at a glance
runs        the list of runs, and one run
run_view    what is shown of a run; also for `sergas report`
tests       the search for tests, and one test
health      components and their history
trends      what machine and checks were like over time
alerts      alerts, their history, and silences
pushes      pushed groups, and their deletion
static/     one style sheet, one script (live updates only), one icon; all of them ours
"""
