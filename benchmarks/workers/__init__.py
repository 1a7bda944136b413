"""Libraries that are timed in a process of their own, so that their threads and torch's never meet.

`client` is torch's end. The other modules run in the worker's process and import no torch.
"""
