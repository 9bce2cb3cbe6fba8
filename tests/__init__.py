"""Everything that must stay true, told as stories and tables."""
