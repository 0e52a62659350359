"""The compiled core: built as the wheel that `make wheel` ships, tested and measured beside plain Python."""
