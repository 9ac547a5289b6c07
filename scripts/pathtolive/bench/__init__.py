"""What make bench measures: sections, their figures, and their budgets."""
