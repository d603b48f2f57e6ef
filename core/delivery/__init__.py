"""Records out: what a connection wants, the queue, the calls, the runs, and what became of each record."""
