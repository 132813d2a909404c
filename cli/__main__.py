"""`python -m aftertide.cli`: the command, where its script is not on the path."""

from .main import main

raise SystemExit(main())
