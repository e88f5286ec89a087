"""Methods: a generator with settings, and the controls that tell what of its score is whose."""
