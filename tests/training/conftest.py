"""Nothing of its own: by this file's place `tiny` can be imported by the tests of all rooms."""
