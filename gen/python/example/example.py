"""Shows Latchkey."""
