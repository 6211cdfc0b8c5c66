"""Wall-clock times, taken in processes of their own."""
