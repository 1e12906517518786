"""The tables of the job store, one of jobs and one of their files, in SQLite or PostgreSQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

TABLES = sa.MetaData()
JOBS = sa.Table(
    "stem_jobs",
    TABLES,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("instance", sa.String(32), nullable=False, index=True),
    sa.Column("owner", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("coverage", sa.String(8), nullable=False),
    sa.Column("created_s", sa.Float, nullable=False),
    sa.Column("finished_s", sa.Float),
    sa.Column("webhook_url", sa.Text),
    sa.Column("webhook_state", sa.String(12), nullable=False),
)
FILES = sa.Table(
    "stem_job_files",
    TABLES,
    sa.Column("job", sa.String(32), sa.ForeignKey("stem_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("body", sa.Text),
    sa.Index("stem_job_files_state", "job", "state"),
)


def engine_for(url: str) -> sa.Engine:
    """Return an engine for SQLite or PostgreSQL.

    Args:
        url: such as ``sqlite:////var/lib/stem/jobs.sqlite`` or ``postgresql://user:password@host/database``.

    Raises:
        ValueError: another database.
    """
    parsed = sa.make_url(url)
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if kind != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ValueError(f"found {kind}; needed: a sqlite file or postgresql")
    engine = sa.create_engine(parsed, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine
