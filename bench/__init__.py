"""How fast, how small: whole processes and whole images, beside what they are compared with, in the same run."""
