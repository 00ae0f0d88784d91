"""Classical vocoders that turn real speech into machine-made copies."""
