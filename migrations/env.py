"""Run by alembic through madoguchi.migrate, which hands over the connection."""

from typing import Any

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Connection
from sqlalchemy.util import await_only


class PlainSql(PostgresqlImpl):
    """Hands a migration's text to PostgreSQL as it stands: several statements, colons and percent signs included."""

    __dialect__ = "postgresql"

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        if isinstance(sql, str) and self.connection is not None:
            driver: Any = self.connection.connection.driver_connection
            await_only(driver.execute(sql))
        else:
            super().execute(sql, execution_options)


def run() -> None:
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, version_table="alembic_version")
    with context.begin_transaction():
        # SQLAlchemy begins the driver's transaction with the first statement of its own, not with our plain texts.
        connection.exec_driver_sql("SELECT 1")
        context.run_migrations()


run()
