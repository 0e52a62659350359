"""The service standard: profiles (the numbers) and rules (the checks). Pure."""
