"""What `madoguchi up` says when it is ready, and to whom."""

from pathlib import Path

import pytest

from madoguchi.config import Settings
from madoguchi.up.runfile import DemoStaff, RunFile
from madoguchi.up.supervisor import welcome

LINK = "http://desk.test/admin/#link=geheim"


def run(*, demo: bool) -> RunFile:
    base = "http://desk.test"
    staff = [DemoStaff("@ken:desk.test", "pw", "健")] if demo else []
    return RunFile(1, base, base, "desk.test", "", base, base + "/", base + "/staff/", base + "/admin/", LINK, staff)


@pytest.mark.parametrize(("seen", "demo", "shown"), [(True, False, True), (False, False, False), (False, True, True)])
def test_the_one_time_link_does_not_end_in_a_journal(tmp_path: Path, seen: bool, demo: bool, shown: bool) -> None:
    said = "\n".join(welcome(Settings(data=tmp_path), run(demo=demo), seen=seen))
    assert ("geheim" in said) is shown
    assert "http://desk.test/admin/" in said and said.endswith("ready http://desk.test")
    assert shown or "run.json" in said
