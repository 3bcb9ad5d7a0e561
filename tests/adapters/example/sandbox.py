"""`python -m tests.adapters.example.sandbox`: the sandbox with Mammoth."""

from __future__ import annotations

from adapters.sandbox import server as platforms
from adapters.sandbox.__main__ import main
from tests.adapters.example.stand_in import PLATFORM, register

if __name__ == "__main__":
    platforms.PLATFORMS[PLATFORM] = register  # type: ignore[index]  # a real platform is a line in that table
    main()
