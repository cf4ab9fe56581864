"""What fills the terminal: the tables, one call, one record, help."""
