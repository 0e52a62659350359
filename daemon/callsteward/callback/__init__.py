"""The one call that follows a talk that broke: may it be made, who makes it, and that it is made once."""
