"""Fuzzing: hostile bytes against every reader of requests and answers, and against whole calls."""
