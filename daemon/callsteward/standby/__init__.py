"""Two daemons for one PBX, seen from outside: who acts, who could, and a planned switch."""
