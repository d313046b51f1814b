"""Pigeonhole: anonymous mailboxes on storage replicas, reached through couriers."""
