"""What people and programs use: the admin client, the `bursar` command and the rehearsal provider."""
