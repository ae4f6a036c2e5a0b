"""Files: small, whole or not there, and without code."""
