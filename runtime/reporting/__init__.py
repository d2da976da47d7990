"""A folder of our files as one page that people look at: gathered, matched, told, drawn, laid out."""
