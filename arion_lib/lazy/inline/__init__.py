"""`compile()`: lambdas that are verified to be plain expressions stand in the loop as text."""
