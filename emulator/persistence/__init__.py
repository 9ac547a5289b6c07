"""Keep the state of local AWS in a directory, so that it outlives any end of the process."""
