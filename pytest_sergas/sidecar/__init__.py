"""HTTP round the engine.

app     puts the routes together; a route module exports ``routes(engine) -> list[Route]``
serve   the process: uvicorn, the socket, signals
"""
