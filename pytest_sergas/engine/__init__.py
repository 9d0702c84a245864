"""What runs on its own, with no HTTP in it: each part keeps its own state, and `Engine` starts and stops them."""
