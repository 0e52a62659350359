"""The database: call records, ledgers, interval sums, outbox."""
