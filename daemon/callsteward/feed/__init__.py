"""The MQTT feed: topics, messages and their schemas, gauges, and the connection to the broker."""
