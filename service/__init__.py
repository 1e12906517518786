"""The HTTP service over the scorer: verdicts, jobs and a page."""
