"""The tables and figures of the Shredder paper, made anew: each a part, its steps, and its section of one page."""
