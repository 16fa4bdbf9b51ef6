import os

import pytest

from tests import against_repdistiller

FOLDERS = os.environ.get("KDBENCH_REPDISTILLER", "").split()


@pytest.mark.skipif(not FOLDERS, reason="KDBENCH_REPDISTILLER names no checkout of RepDistiller (and of mdistiller)")
def test_losses_and_networks_are_those_of_the_authors_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert against_repdistiller.main(*FOLDERS) == 0, capsys.readouterr().out
