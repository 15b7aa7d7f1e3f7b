"""What a user can ask for: one module a task, each a function from a request to a result."""
