"""Security advisories: what they say is affected, which hosts of a cloud are, and which versions mend it."""
