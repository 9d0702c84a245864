"""HTTP round the engine.

app         puts the routes together; a route module exports ``routes(engine) -> list[Route]``
guard       stands before every route: from where a request may come, and what browsers are told
auth        users and tokens
web_config  the web configuration file: TLS, headers, users
connection  deadlines and limits of a connection
logs        what is logged, and how
serve       the process: the socket, uvicorn, signals
"""
