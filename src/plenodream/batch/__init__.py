"""Many tasks on many workers, by Ray: nothing here knows what a task is, and Ray is imported when it is needed."""
