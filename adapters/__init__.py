"""How each platform is spoken to. Knows no database, queue or web framework; see README.md."""
