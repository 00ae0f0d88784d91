"""What `loradar report` says of one or more systems, in words, tables and figures."""
