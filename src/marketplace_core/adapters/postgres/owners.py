"""A role for each database of the embedded PostgreSQL: it owns what is in there, is no superuser, and enters no other database.

What a statement can do that somebody smuggles in ends there: no program, no file of the server, nobody else's rows.
"""

from __future__ import annotations

__all__ = ["make_role", "owner_of", "take_over"]

_LONGEST = 63


def owner_of(database: str) -> str:
    return f"db_{database}".encode()[:_LONGEST].decode(errors="ignore")


def make_role(database: str) -> str:
    """Does nothing if it is there. Several at once wait for each other."""
    role = owner_of(database)
    return f"""
DO $owner$ BEGIN
  PERFORM pg_advisory_xact_lock(1835759472);
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_text(role)}) THEN
    CREATE ROLE {_name(role)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
  END IF;
END $owner$"""


def take_over(database: str) -> str:
    """In that database: it, and what 0.1.0 made in it as the superuser, becomes its role's; done once."""
    owner = _text(owner_of(database))
    own = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    return f"""
DO $owner$ DECLARE it record; BEGIN
  PERFORM pg_advisory_xact_lock(1835759472);
  IF (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) = {owner} THEN RETURN; END IF;
  FOR it IN SELECT n.nspname AS name FROM pg_namespace n WHERE {own} AND n.nspname <> 'public' LOOP
    EXECUTE format('ALTER SCHEMA %I OWNER TO %I', it.name, {owner});
  END LOOP;
  FOR it IN SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {own} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT EXISTS (  -- a column's sequence goes with its table
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e')) LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO %I', it.name, {owner});
  END LOOP;
  FOR it IN SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {own} LOOP
    EXECUTE format('ALTER ROUTINE %s OWNER TO %I', it.name, {owner});
  END LOOP;
  FOR it IN SELECT t.oid::regtype::text AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE {own} AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')) LOOP
    EXECUTE format('ALTER TYPE %s OWNER TO %I', it.name, {owner});
  END LOOP;
  EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), {owner});
END $owner$"""  # noqa: S608 - a name of the deployment's file, quoted


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
