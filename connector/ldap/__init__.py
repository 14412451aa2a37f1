"""LDAP directories and their exports."""
