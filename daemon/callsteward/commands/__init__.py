"""Commands from outside, by MQTT or HTTP: one way to carry them out, two doors."""
