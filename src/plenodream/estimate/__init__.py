"""What real footage does not come with: cameras, computed by other people's tools."""
