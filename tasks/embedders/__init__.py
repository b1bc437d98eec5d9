"""Embedders: functions from small pictures to unit vectors."""
