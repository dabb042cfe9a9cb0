"""Firefox and Chromium in one meeting."""

from meeting import Person
from test_meeting import expect_pictures_and_sound


def test_firefox_and_chromium_see_and_hear_each_other(server, room, chromium, firefox):
    cora = Person(chromium(), server, room, "Cora").join()
    finn = Person(firefox(), server, room, "Finn").join()
    cora.wait_for_pictures(["Finn"])
    finn.wait_for_pictures(["Cora"])
    expect_pictures_and_sound([cora, finn], {"Cora": ["Finn"], "Finn": ["Cora"]})
