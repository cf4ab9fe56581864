"""The parts of which the screens are made."""
