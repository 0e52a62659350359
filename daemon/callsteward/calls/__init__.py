"""The tracker: from Asterisk's events to facts about calls. Pure: no IO, no clock of its own."""
