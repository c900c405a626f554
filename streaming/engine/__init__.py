"""All that waits: the event loop, upstream calls, runs, logs, viewers, threads.

The law of this folder: it imports `streaming.core` and no web framework. Whoever starts a task here
owns it; whoever opens a resource here closes it, on cancellation too.
"""
