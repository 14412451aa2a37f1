"""The connector: closes a departed family's access everywhere, together, provably, and never the wrong person's."""
