"""One module per migration, oldest first. A released one is history: it imports no table of today."""
