"""SCIM 2.0 endpoint; built by its own change."""
