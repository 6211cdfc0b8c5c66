"""What every other room stands on; knows no network and no result."""
