"""The database's address as the configuration has it."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from callsteward.exceptions import ConfigError, StoreError


class StoreUrlError(StoreError, ConfigError):
    """`store.url` is not a database's address: a mistake in the configuration, which no restart mends."""

    exit_code = ConfigError.exit_code


def store_url(text: str) -> URL:
    """The address in its parts. Raises StoreUrlError, without the address: it may hold a password."""
    try:
        return make_url(text)
    except ArgumentError as error:
        message = "store.url is not a database URL; sqlite:////absolute.db or postgresql://user@host/name"
        raise StoreUrlError(message) from error
    except ValueError as error:
        # SQLAlchemy reads the port with int() and checks no more.
        message = (
            "store.url: the port after the host's colon must be a number; postgresql://user@host:5432/name"
        )
        raise StoreUrlError(message) from error
