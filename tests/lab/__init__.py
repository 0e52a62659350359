"""The lab: real Asterisk, real SIP phones and a real MQTT broker on 127.0.0.1."""
