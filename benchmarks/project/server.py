"""Whole databases, by the drivers alone: server.py create|drop|copy NAME [TEMPLATE], drop_all, version."""

import os
import shutil
import sqlite3
import sys
from pathlib import Path

DATABASE = os.environ["BENCH_DATABASE"]


def execute(*statements: str) -> str:
    """Run these outside of any database, and return the first value that the last one gives."""
    if DATABASE == "postgres":
        import psycopg

        with psycopg.connect(
            host=os.environ.get("POSTGRES_HOST", "127.0.0.1"),
            port=os.environ.get("POSTGRES_PORT", "5432"),
            user=os.environ.get("POSTGRES_USER", "postgres"),
            password=os.environ.get("POSTGRES_PASSWORD", ""),
            dbname="postgres",
            autocommit=True,
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return str(cursor.fetchone()[0]) if cursor.description else ""
    import MySQLdb

    connection = MySQLdb.connect(
        host=os.environ.get("MARIADB_HOST", "127.0.0.1"),
        port=int(os.environ.get("MARIADB_PORT", "3306")),
        user=os.environ.get("MARIADB_USER", "root"),
        password=os.environ.get("MARIADB_PASSWORD", ""),
    )
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return str(cursor.fetchone()[0]) if cursor.description else ""


def drop(name: str) -> None:
    if DATABASE == "sqlite":
        for file in Path(name).parent.glob(f"{Path(name).name}*"):
            file.unlink()
    elif DATABASE == "postgres":
        execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    else:
        execute(f"DROP DATABASE IF EXISTS `{name}`")


def create(name: str) -> None:
    drop(name)
    if DATABASE == "postgres":
        execute(f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0")
    elif DATABASE == "mariadb":
        execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")


def copy(name: str, template: str) -> None:
    """Make a database that is like another, which nobody uses at this time."""
    drop(name)
    if DATABASE == "sqlite":
        shutil.copy(template, name)
    elif DATABASE == "postgres":
        execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    else:
        raise SystemExit("MariaDB cannot copy a database.")


def drop_all() -> None:
    """Drop whatever benchmarks have made on this server; SQLite's are files, which are removed otherwise."""
    listed = {
        "postgres": "SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'bench\\_%'",
        "mariadb": "SELECT GROUP_CONCAT(schema_name SEPARATOR ' ') FROM information_schema.schemata "
        "WHERE schema_name LIKE 'bench\\_%'",
    }
    if DATABASE in listed:
        for name in execute(listed[DATABASE]).split():
            if name != "None":
                drop(name)


def version() -> None:
    if DATABASE == "sqlite":
        print(f"SQLite {sqlite3.sqlite_version}")
    elif DATABASE == "postgres":
        print("PostgreSQL", execute("SHOW server_version").split()[0])
    else:
        print("MariaDB", execute("SELECT VERSION()"))


if __name__ == "__main__":
    {"create": create, "drop": drop, "drop_all": drop_all, "copy": copy, "version": version}[sys.argv[1]](
        *sys.argv[2:]
    )
