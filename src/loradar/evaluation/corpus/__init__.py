"""What is wrong with a corpus: files, leakage between its splits, and shortcuts."""
