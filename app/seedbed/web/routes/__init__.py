"""Thin endpoints, a module a surface: unpack, call one thing, wrap."""
