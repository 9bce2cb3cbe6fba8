"""One frozen statement, rendered for people and for programs: HTML, PDF, CSV and FOCUS."""
