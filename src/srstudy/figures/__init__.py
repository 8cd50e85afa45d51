"""The study's pictures. Each function returns a matplotlib figure; titles carry the profile's note."""
