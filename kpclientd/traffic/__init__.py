"""What leaves for the gateway, and when: Poisson clocks, cover traffic, fair queues, packets.

The times of sending come from two Poisson processes and from nothing else. Whatever waits is taken into the next
slot; when nothing waits a loop decoy takes it, and the two cannot be told apart by time or size.
"""
