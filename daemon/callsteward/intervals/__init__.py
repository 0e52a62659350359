"""Intervals for workforce management: sums per line and per operator, by quarter or half hour."""
