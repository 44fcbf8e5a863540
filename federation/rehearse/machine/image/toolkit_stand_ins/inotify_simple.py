"""Stands in for inotify_simple where the system has no inotify, as macOS has none.

The toolkit imports it wherever it runs, and uses it only to upload while a job still runs.
"""
