"""Telling people what a run did."""
