"""What people and programs use: the admin client, the `bursar` command, the rehearsal provider."""
