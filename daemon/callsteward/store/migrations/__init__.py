"""Alembic's folder: `versions/` holds one file per change of the schema, `env.py` runs them."""
