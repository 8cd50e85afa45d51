"""What came out: how near SR is to HR, how an image looks by itself, and whether a run went wrong."""
