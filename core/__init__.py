"""FootprintIQ Integration Hub."""
