"""The tracker: turns Asterisk's events into facts about calls. Pure: no IO, no clock of its own."""
