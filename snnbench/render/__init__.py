"""From a result to tables, figures, LaTeX, HTML and the terminal. Never imports torch."""
