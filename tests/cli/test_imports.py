"""What the command line imports, and what the package offers."""

from __future__ import annotations

import subprocess
import sys


def test_help_imports_no_web_framework():
    """``--help`` answers without the second that FastAPI and pydantic take to import."""
    program = (
        "import sys\nfrom raincheck.cli import main\n"
        "try:\n    main()\nfinally:\n    print(sorted({'fastapi', 'pydantic', 'sqlite3'} & set(sys.modules)))"
    )
    command = (sys.executable, "-c", program, "--help")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "worker" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_public_name_can_be_imported():
    """The package imports its names when they are asked for; each of them must be where it says."""
    import raincheck

    assert all(getattr(raincheck, name) is not None for name in raincheck.__all__)
    assert not hasattr(raincheck, "Nothing")


def test_the_command_line_needs_no_package_of_an_extra():
    """``pip install raincheck`` brings none of them, and every command is imported by each."""
    extras = ("asyncpg", "pgqueuer", "procrastinate", "taskiq", "celery", "prometheus_client")
    program = (
        "import sys\n"
        f"sys.modules |= dict.fromkeys({extras!r})\n"
        "import raincheck.cli, raincheck.cli.doctor, raincheck.cli.moving, raincheck.stores.postgres\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
