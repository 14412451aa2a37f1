"""Programs for those who work on the connector. Nothing in the product imports them."""
