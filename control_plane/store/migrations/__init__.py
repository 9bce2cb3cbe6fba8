"""Numbered steps that bring a database to the schema this program expects."""
