"""Many tasks on many workers, by Ray: nothing here knows what a task is, and nothing imports Ray before it is needed."""
