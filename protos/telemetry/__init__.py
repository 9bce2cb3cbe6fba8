"""What both processes tell of themselves: counters and traces, to collectors and scrapers."""
