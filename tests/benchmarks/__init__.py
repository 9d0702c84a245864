"""What the plugin costs, as ratios within one run: ``make bench``.

The files are named ``bench_*.py``, so that a run of the whole suite does not collect them; they are run by name:

    pytest -s -p no:cacheprovider tests/benchmarks/bench_*.py

Each prints a table with what was measured and fails when a bound does not hold. Both sides of a comparison
run the same tests with the same plugins, and what is compared is switched on and off on the command line.
Times are medians of alternated pairs; the bounds are on CPU time, which a busy machine disturbs less, and the
wall time stands beside it. Instructions are counted by valgrind and hardly vary at all.
"""
