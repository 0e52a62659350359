"""The rating after the call: who is asked, the IVR that asks, and what becomes of the answer."""
