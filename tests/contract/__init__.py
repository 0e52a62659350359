"""The published contract held against what was promised before, and against AsyncAPI's own parser."""
