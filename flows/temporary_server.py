"""The process of the command's temporary Prefect server: ``python -m … SOCKET FOLDER``.

It is what Prefect starts when it needs a server and none is named, but for what takes time: the
socket listens before, so that nobody has to find a free port or to knock again and again; the
database is made at once, and not by the hundred migrations that an old one would go through;
nothing is registered that only Prefect's own pages show; and Python looks for no garbage while
modules are imported, a fifth of the time that importing takes.
"""

import gc
import os
import socket
import sys

ENVIRONMENT = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",  # fewer services
    "PREFECT__SERVER_FINAL": "1",  # nothing is kept for making another one in the same process
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "0",
    "PREFECT_API_DATABASE_MIGRATE_ON_START": "0",
}

URL = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
"""Names of one setting."""


def main() -> None:
    """Serve Prefect's API on a socket, given by its number, until a signal comes.

    Runs are kept in a database in the folder.
    """
    number, folder = sys.argv[1:]
    database = os.path.join(folder, "prefect.db")
    os.environ.update(ENVIRONMENT | {name: f"sqlite+aiosqlite:///{database}" for name in URL})
    gc.disable()
    import uvicorn
    from prefect.server.api.server import create_app

    _make_tables(database)
    application = create_app()
    gc.collect()
    gc.freeze()
    gc.enable()
    config = uvicorn.Config(application, log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(number))])


def _make_tables(database: str) -> None:
    """Make the tables of Prefect's models, as they are now, in a new SQLite file."""
    from prefect.server.database import provide_database_interface
    from sqlalchemy import create_engine

    tables = provide_database_interface().Base.metadata
    for table in tables.tables.values():
        named = {index.name: index for index in table.indexes}
        table.indexes.intersection_update(named.values())  # Prefect 3.8 has one twice
    engine = create_engine(f"sqlite:///{database}")
    tables.create_all(engine)
    engine.dispose()


if __name__ == "__main__":
    main()
