"""Run the rehearsal provider: `python -m clients.rehearsal --port 0`."""

import sys

from clients.rehearsal.app import main

sys.exit(main())
