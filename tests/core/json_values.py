"""Whatever a configuration file or a marker may hold, as a hypothesis strategy."""

from __future__ import annotations

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([400, 5000]).map(lambda digits: 10**digits)  # more than a float holds, more than Python shows
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["20%", "fail", "ConnectionError", "9" * 400 + "%", "{branch}", "false"])
)
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8
)
