def create(context): return None
